// Printed by `kafka-runtime rows` 0.1.0.

use kafka_runtime::column::{
    Bits, Bytes, Date, Decimal, Double, Interval, JsonText, Micros, Millis, Point, Real, Time,
    Timestamp, Toast, VariableScaleDecimal, ZonedTime, ZonedTimestamp,
};

/// A row of `public.bytes`: take `DatabaseEvent<RowBytes>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct RowBytes {
    pub id: i32,
    pub data: Toast<Option<Bytes>>,
    pub one: Option<bool>,
    pub eight: Option<Bits>,
    pub twenty: Option<Bits>,
    pub bits: Option<Bits>,
}

/// The key of `public.bytes`: take `Key<RowBytesKey>`, and `before.key::<RowBytesKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct RowBytesKey {
    pub id: i32,
}

/// A row of `public.infinite_decimals`: take `DatabaseEvent<InfiniteDecimals>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct InfiniteDecimals {
    pub id: i32,
    pub unscaled: Option<VariableScaleDecimal>,
}

/// The key of `public.infinite_decimals`: take `Key<InfiniteDecimalsKey>`, and `before.key::<InfiniteDecimalsKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct InfiniteDecimalsKey {
    pub id: i32,
}

/// A row of `public.keyless`: take `DatabaseEvent<Keyless>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Keyless {
    pub at: i32,
    pub note: Toast<Option<String>>,
}

/// A row of `public.lookalike`: take `DatabaseEvent<Lookalike>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Lookalike {
    pub schema: String,
    pub payload: Toast<Option<String>>,
}

/// The key of `public.lookalike`: take `Key<LookalikeKey>`, and `before.key::<LookalikeKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct LookalikeKey {
    pub schema: String,
}

/// A row of `public.members`: take `DatabaseEvent<Members>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Members {
    pub tenant: i32,
    pub code: String,
    pub name: Toast<String>,
    pub since: Option<Date>,
}

/// The key of `public.members`: take `Key<MembersKey>`, and `before.key::<MembersKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct MembersKey {
    pub tenant: i32,
    pub code: String,
}

/// A row of `public.not_numbers`: take `DatabaseEvent<NotNumbers>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct NotNumbers {
    pub id: i32,
    pub price: Option<Decimal<2>>,
    pub unscaled: Option<VariableScaleDecimal>,
    pub single: Option<Real>,
    pub double: Option<Double>,
}

/// The key of `public.not_numbers`: take `Key<NotNumbersKey>`, and `before.key::<NotNumbersKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct NotNumbersKey {
    pub id: i32,
}

/// A row of `public.numbers`: take `DatabaseEvent<Numbers>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Numbers {
    pub id: i32,
    pub flag: Option<bool>,
    pub i2: Option<i16>,
    pub i4: Option<i32>,
    pub i8: Option<i64>,
    pub object: Option<i64>,
    pub single: Option<Real>,
    pub double: Option<Double>,
    pub price: Option<Decimal<2>>,
    pub whole: Option<Decimal<0>>,
    pub wide: Option<Decimal<10>>,
    pub unscaled: Option<VariableScaleDecimal>,
    pub cash: Option<Decimal<2>>,
}

/// The key of `public.numbers`: take `Key<NumbersKey>`, and `before.key::<NumbersKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct NumbersKey {
    pub id: i32,
}

/// A row of `public.odd_keys`: take `DatabaseEvent<OddKeys>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct OddKeys {
    pub big: i64,
    pub at: ZonedTimestamp,
    pub price: Decimal<2>,
    pub day: Date,
    pub uid: String,
    pub feeling: String,
    pub data: Bytes,
    pub note: Toast<Option<String>>,
}

/// The key of `public.odd_keys`: take `Key<OddKeysKey>`, and `before.key::<OddKeysKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct OddKeysKey {
    pub big: i64,
    pub at: ZonedTimestamp,
    pub price: Decimal<2>,
    pub day: Date,
    pub uid: String,
    pub feeling: String,
    pub data: Bytes,
}

/// A row of `public.odd_names`: take `DatabaseEvent<OddNames>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct OddNames {
    pub id: i32,
    pub schema: Toast<Option<String>>,
    pub payload: Toast<Option<String>>,
    pub before: Toast<Option<String>>,
    pub after: Toast<Option<String>>,
    pub op: Toast<Option<String>>,
    pub source: Toast<Option<String>>,
    #[serde(rename = "Mixed Case")]
    pub mixed_case: Toast<Option<String>>,
}

/// The key of `public.odd_names`: take `Key<OddNamesKey>`, and `before.key::<OddNamesKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct OddNamesKey {
    pub id: i32,
}

/// A row of `public.structures`: take `DatabaseEvent<Structures>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Structures {
    pub id: i32,
    pub pairs: Toast<Option<JsonText<serde_json::Value>>>,
    pub place: Option<Point>,
    pub bools: Toast<Option<Vec<Option<bool>>>>,
    pub shorts: Toast<Option<Vec<Option<i16>>>>,
    pub ints: Toast<Option<Vec<Option<i32>>>>,
    pub bigs: Toast<Option<Vec<Option<i64>>>>,
    pub singles: Toast<Option<Vec<Option<Real>>>>,
    pub doubles: Toast<Option<Vec<Option<Double>>>>,
    pub prices: Toast<Option<Vec<Option<Decimal<2>>>>>,
    pub texts: Toast<Option<Vec<Option<String>>>>,
    pub shorts_of_text: Toast<Option<Vec<Option<String>>>>,
    pub padded: Toast<Option<Vec<Option<String>>>>,
    pub folded: Toast<Option<Vec<Option<String>>>>,
    pub moods: Toast<Option<Vec<Option<String>>>>,
    pub uids: Toast<Option<Vec<Option<String>>>>,
    pub docs: Toast<Option<Vec<Option<JsonText<serde_json::Value>>>>>,
    pub docbs: Toast<Option<Vec<Option<JsonText<serde_json::Value>>>>>,
    pub datas: Toast<Option<Vec<Option<Bytes>>>>,
    pub days: Toast<Option<Vec<Option<Date>>>>,
    pub clocks: Toast<Option<Vec<Option<Time<Micros>>>>>,
    pub zoned: Toast<Option<Vec<Option<ZonedTime>>>>,
    pub stamps: Toast<Option<Vec<Option<Timestamp<Micros>>>>>,
    pub moments: Toast<Option<Vec<Option<ZonedTimestamp>>>>,
    pub addresses: Toast<Option<Vec<Option<String>>>>,
    pub nets: Toast<Option<Vec<Option<String>>>>,
    pub macs: Toast<Option<Vec<Option<String>>>>,
    pub ranges: Toast<Option<Vec<Option<String>>>>,
    pub oids: Toast<Option<Vec<Option<i64>>>>,
}

/// The key of `public.structures`: take `Key<StructuresKey>`, and `before.key::<StructuresKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct StructuresKey {
    pub id: i32,
}

/// A row of `public.texts`: take `DatabaseEvent<Texts>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Texts {
    pub id: i32,
    pub plain: Toast<Option<String>>,
    pub short: Toast<Option<String>>,
    pub padded: Toast<Option<String>>,
    pub folded: Toast<Option<String>>,
    pub feeling: Option<String>,
    pub uid: Option<String>,
    pub doc: Toast<Option<JsonText<serde_json::Value>>>,
    pub docb: Toast<Option<JsonText<serde_json::Value>>>,
    pub page: Toast<Option<String>>,
    pub ip: Toast<Option<String>>,
    pub net: Toast<Option<String>>,
    pub mac: Toast<Option<String>>,
    pub mac8: Toast<Option<String>>,
    pub path: Toast<Option<String>>,
    pub ints: Toast<Option<String>>,
    pub bigs: Toast<Option<String>>,
    pub nums: Toast<Option<String>>,
    pub stamps: Toast<Option<String>>,
    pub zoned: Toast<Option<String>>,
    pub days: Toast<Option<String>>,
}

/// The key of `public.texts`: take `Key<TextsKey>`, and `before.key::<TextsKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct TextsKey {
    pub id: i32,
}

/// A row of `public.times`: take `DatabaseEvent<Times>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Times {
    pub id: i32,
    pub day: Option<Date>,
    pub t0: Option<Time<Millis>>,
    pub t3: Option<Time<Millis>>,
    pub t6: Option<Time<Micros>>,
    pub zoned: Option<ZonedTime>,
    pub ts0: Option<Timestamp<Millis>>,
    pub ts3: Option<Timestamp<Millis>>,
    pub ts6: Option<Timestamp<Micros>>,
    pub tstz: Option<ZonedTimestamp>,
    pub tstz0: Option<ZonedTimestamp>,
    pub span: Option<Interval>,
}

/// The key of `public.times`: take `Key<TimesKey>`, and `before.key::<TimesKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct TimesKey {
    pub id: i32,
}

/// A row of `public.truncated`: take `DatabaseEvent<Truncated>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Truncated {
    pub id: i32,
}

/// The key of `public.truncated`: take `Key<TruncatedKey>`, and `before.key::<TruncatedKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct TruncatedKey {
    pub id: i32,
}

/// A row of `public.users`: take `DatabaseEvent<Users>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Users {
    pub id: i32,
    pub email: Toast<String>,
    pub nickname: Toast<Option<String>>,
    pub age: Option<i32>,
    pub role: Toast<String>,
    pub active: bool,
    pub balance: Decimal<2>,
    pub created_at: ZonedTimestamp,
    pub token: String,
    pub settings: Toast<JsonText<serde_json::Value>>,
    pub tags: Toast<Vec<Option<String>>>,
}

/// The key of `public.users`: take `Key<UsersKey>`, and `before.key::<UsersKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct UsersKey {
    pub id: i32,
}

/// A row of `public.users_full`: take `DatabaseEvent<UsersFull>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct UsersFull {
    pub id: i32,
    pub email: Toast<String>,
    pub nickname: Toast<Option<String>>,
    pub age: Option<i32>,
    pub role: Toast<String>,
    pub active: bool,
    pub balance: Decimal<2>,
    pub created_at: ZonedTimestamp,
    pub token: String,
    pub settings: Toast<JsonText<serde_json::Value>>,
    pub tags: Toast<Vec<Option<String>>>,
}

/// The key of `public.users_full`: take `Key<UsersFullKey>`, and `before.key::<UsersFullKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct UsersFullKey {
    pub id: i32,
}
