// Printed by `kafka-runtime rows` 0.1.0.

use kafka_runtime::column::{
    Bits, Bytes, Date, Decimal, DecimalValue, Double, Hstore, Interval, JsonText, Micros, Millis,
    Point, RangeText, Real, Time, Timestamp, Toast, VariableScaleDecimal, ZonedTime,
    ZonedTimestamp,
};

/// A row of `public.articles`: take `DatabaseEvent<Articles>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Articles {
    pub id: i32,
    pub title: Toast<String>,
    pub body: Toast<String>,
    pub note: Toast<Option<String>>,
}

/// The key of `public.articles`: take `Key<ArticlesKey>`, and `before.key::<ArticlesKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct ArticlesKey {
    pub id: i32,
}

/// A row of `public.backlog`: take `DatabaseEvent<Backlog>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Backlog {
    pub id: i32,
    pub note: Toast<Option<String>>,
}

/// The key of `public.backlog`: take `Key<BacklogKey>`, and `before.key::<BacklogKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct BacklogKey {
    pub id: i32,
}

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

/// A row of `public.damaged`: take `DatabaseEvent<Damaged>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Damaged {
    pub id: i32,
    pub nm: Option<String>,
    pub grid: Toast<Option<Vec<Option<i32>>>>,
    pub day: Option<Date>,
    // doubled: generated columns are sent by snapshots only
    pub größe: Option<i32>,
}

/// The key of `public.damaged`: take `Key<DamagedKey>`, and `before.key::<DamagedKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct DamagedKey {
    pub id: i32,
}

/// A row of `public.debezium_signal`: take `DatabaseEvent<DebeziumSignal>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct DebeziumSignal {
    pub id: String,
    pub r#type: Toast<String>,
    pub data: Toast<Option<String>>,
}

/// The key of `public.debezium_signal`: take `Key<DebeziumSignalKey>`, and `before.key::<DebeziumSignalKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct DebeziumSignalKey {
    pub id: String,
}

/// A row of `public.evolving`: take `DatabaseEvent<Evolving>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Evolving {
    pub id: i32,
    pub name: Toast<String>,
    pub old_one: Toast<Option<String>>,
}

/// The key of `public.evolving`: take `Key<EvolvingKey>`, and `before.key::<EvolvingKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct EvolvingKey {
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

/// A row of `public.keyless_full`: take `DatabaseEvent<KeylessFull>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct KeylessFull {
    pub at: i32,
    pub note: Option<String>,
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

/// A row of `public.outbox`: take `DatabaseEvent<Outbox>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Outbox {
    pub id: String,
    pub aggregatetype: Toast<String>,
    pub aggregateid: Toast<String>,
    pub r#type: Toast<String>,
    pub payload: Toast<Option<JsonText<serde_json::Value>>>,
}

/// The key of `public.outbox`: take `Key<OutboxKey>`, and `before.key::<OutboxKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct OutboxKey {
    pub id: String,
}

/// A row of `public.strict`: take `DatabaseEvent<Strict>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Strict {
    pub id: i32,
    pub b: bool,
    pub i2: i16,
    pub i8: i64,
    pub r: Real,
    pub f: Double,
    pub n: Decimal<2>,
    pub unscaled: VariableScaleDecimal,
    pub m: Decimal<2>,
    pub t: Toast<String>,
    pub c: Toast<String>,
    pub u: String,
    pub j: Toast<JsonText<serde_json::Value>>,
    pub jb: Toast<JsonText<serde_json::Value>>,
    pub x: Toast<String>,
    pub e: String,
    pub ip: String,
    pub rng: RangeText<i32>,
    pub h: Toast<Hstore>,
    pub by: Toast<Bytes>,
    pub bits: Bits,
    pub d: Date,
    pub tm: Time<Micros>,
    pub tmz: ZonedTime,
    pub ts: Timestamp<Micros>,
    pub tstz: ZonedTimestamp,
    pub iv: Interval,
    pub p: Point,
    pub ints: Toast<Vec<Option<i32>>>,
    pub texts: Toast<Vec<Option<String>>>,
}

/// The key of `public.strict`: take `Key<StrictKey>`, and `before.key::<StrictKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct StrictKey {
    pub id: i32,
}

/// A row of `public.structures`: take `DatabaseEvent<Structures>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Structures {
    pub id: i32,
    pub pairs: Toast<Option<Hstore>>,
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
    pub ranges: Toast<Option<Vec<Option<RangeText<i32>>>>>,
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
    pub ip: Option<String>,
    pub net: Option<String>,
    pub mac: Option<String>,
    pub mac8: Option<String>,
    pub path: Toast<Option<String>>,
    pub ints: Option<RangeText<i32>>,
    pub bigs: Option<RangeText<i64>>,
    pub nums: Toast<Option<RangeText<DecimalValue>>>,
    pub stamps: Toast<Option<RangeText<String>>>,
    pub zoned: Toast<Option<RangeText<String>>>,
    pub days: Toast<Option<RangeText<String>>>,
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

/// A row of `public.toasted`: take `DatabaseEvent<Toasted>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Toasted {
    pub id: i32,
    pub small: Option<i32>,
    pub t: Toast<Option<String>>,
    pub vc: Toast<Option<String>>,
    pub ci: Toast<Option<String>>,
    pub j: Toast<Option<JsonText<serde_json::Value>>>,
    pub jb: Toast<Option<JsonText<serde_json::Value>>>,
    pub x: Toast<Option<String>>,
    pub lt: Toast<Option<String>>,
    pub data: Toast<Option<Bytes>>,
    pub texts: Toast<Option<Vec<Option<String>>>>,
    pub varchars: Toast<Option<Vec<Option<String>>>>,
    pub docs: Toast<Option<Vec<Option<JsonText<serde_json::Value>>>>>,
    pub ints: Toast<Option<Vec<Option<i32>>>>,
    pub bigs: Toast<Option<Vec<Option<i64>>>>,
    pub days: Toast<Option<Vec<Option<Date>>>>,
    pub uids: Toast<Option<Vec<Option<String>>>>,
    pub pairs: Toast<Option<Hstore>>,
    pub bools: Toast<Option<Vec<Option<bool>>>>,
    pub doubles: Toast<Option<Vec<Option<Double>>>>,
    pub bits: Option<Bits>,
}

/// The key of `public.toasted`: take `Key<ToastedKey>`, and `before.key::<ToastedKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct ToastedKey {
    pub id: i32,
}

/// A row of `public.toasted_full`: take `DatabaseEvent<ToastedFull>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct ToastedFull {
    pub id: i32,
    pub small: Option<i32>,
    pub t: String,
}

/// The key of `public.toasted_full`: take `Key<ToastedFullKey>`, and `before.key::<ToastedFullKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct ToastedFullKey {
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

/// A row of `public.truncated_too`: take `DatabaseEvent<TruncatedToo>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct TruncatedToo {
    pub id: i32,
    pub of: Option<i32>,
}

/// The key of `public.truncated_too`: take `Key<TruncatedTooKey>`, and `before.key::<TruncatedTooKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct TruncatedTooKey {
    pub id: i32,
}

/// A row of `public.unknown_types`: take `DatabaseEvent<UnknownTypes>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct UnknownTypes {
    pub id: i32,
    // b: box is sent only with include.unknown.datatypes=true, as base64
    // c: circle is sent only with include.unknown.datatypes=true, as base64
    // l: line is sent only with include.unknown.datatypes=true, as base64
    // s: lseg is sent only with include.unknown.datatypes=true, as base64
    // p: path is sent only with include.unknown.datatypes=true, as base64
    // g: polygon is sent only with include.unknown.datatypes=true, as base64
    // where_to: address is sent only with include.unknown.datatypes=true, as base64
    // words: tsvector is sent only with include.unknown.datatypes=true, as base64
    // question: tsquery is sent only with include.unknown.datatypes=true, as base64
    // multi: int4multirange is sent only with include.unknown.datatypes=true, as base64
    // position: pg_lsn is sent only with include.unknown.datatypes=true, as base64
    // cash: arrays of money are not sent by the connector
    // names: arrays of name are not sent by the connector
    // spans: arrays of interval are not sent by the connector
    // bits: arrays of varbit are not sent by the connector
    // pages: arrays of xml are not sent by the connector
    // places: arrays of point are not sent by the connector
    pub last: Toast<Option<String>>,
}

/// The key of `public.unknown_types`: take `Key<UnknownTypesKey>`, and `before.key::<UnknownTypesKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct UnknownTypesKey {
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
    pub email: String,
    pub nickname: Option<String>,
    pub age: Option<i32>,
    pub role: String,
    pub active: bool,
    pub balance: Decimal<2>,
    pub created_at: ZonedTimestamp,
    pub token: String,
    pub settings: JsonText<serde_json::Value>,
    pub tags: Vec<Option<String>>,
}

/// The key of `public.users_full`: take `Key<UsersFullKey>`, and `before.key::<UsersFullKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct UsersFullKey {
    pub id: i32,
}

/// A row of `public.users_index`: take `DatabaseEvent<UsersIndex>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct UsersIndex {
    pub id: i32,
    pub email: Toast<String>,
    pub nickname: Toast<Option<String>>,
}

/// The key of `public.users_index`: take `Key<UsersIndexKey>`, and `before.key::<UsersIndexKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct UsersIndexKey {
    pub id: i32,
}

/// A row of `public.users_nothing`: take `DatabaseEvent<UsersNothing>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct UsersNothing {
    pub id: i32,
    pub email: Toast<String>,
}

/// The key of `public.users_nothing`: take `Key<UsersNothingKey>`, and `before.key::<UsersNothingKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct UsersNothingKey {
    pub id: i32,
}

/// A row of `public.visits`: take `DatabaseEvent<Visits>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct Visits {
    pub id: i32,
    pub region: String,
    pub note: Toast<Option<String>>,
}

/// The key of `public.visits`: take `Key<VisitsKey>`, and `before.key::<VisitsKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct VisitsKey {
    pub id: i32,
    pub region: String,
}

/// A row of `public.visits_eu`: take `DatabaseEvent<VisitsEu>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct VisitsEu {
    pub id: i32,
    pub region: String,
    pub note: Toast<Option<String>>,
}

/// The key of `public.visits_eu`: take `Key<VisitsEuKey>`, and `before.key::<VisitsEuKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct VisitsEuKey {
    pub id: i32,
    pub region: String,
}

/// A row of `public.visits_us`: take `DatabaseEvent<VisitsUs>`.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct VisitsUs {
    pub id: i32,
    pub region: String,
    pub note: Toast<Option<String>>,
}

/// The key of `public.visits_us`: take `Key<VisitsUsKey>`, and `before.key::<VisitsUsKey>()` of an old row.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, serde::Serialize)]
pub struct VisitsUsKey {
    pub id: i32,
    pub region: String,
}
