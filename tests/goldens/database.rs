//! Rows as the structs that `kafka-runtime rows` prints for the tables of a live PostgreSQL.

use kafka_runtime::{DatabaseEvent, FromRecord};

use crate::database_rows::*;
use crate::golden::Configuration;
use crate::typed::{keys, rows};

macro_rules! tables {
    ($($test:ident: $table:literal $row:ty $(, $key:ty)?;)*) => {
        $(
            #[test]
            fn $test() {
                let mut count = 0;
                // The last is the one with incremental snapshots, which has tables of its own.
                for name in ["bare", "null-as-null", "incremental"] {
                    let configuration = Configuration::read(name);
                    count += rows::<$row>(&configuration, $table);
                    $(count += keys::<$key>(&configuration, $table);)?
                }
                assert!(count > 0);
            }
        )*
    };
}

tables! {
    articles: "articles" Articles, ArticlesKey;
    backlog: "backlog" Backlog, BacklogKey;
    bytes: "bytes" RowBytes, RowBytesKey;
    debezium_signal: "debezium_signal" DebeziumSignal, DebeziumSignalKey;
    infinite_decimals: "infinite_decimals" InfiniteDecimals, InfiniteDecimalsKey;
    keyless: "keyless" Keyless;
    keyless_full: "keyless_full" KeylessFull;
    lookalike: "lookalike" Lookalike, LookalikeKey;
    members: "members" Members, MembersKey;
    not_numbers: "not_numbers" NotNumbers, NotNumbersKey;
    numbers: "numbers" Numbers, NumbersKey;
    odd_keys: "odd_keys" OddKeys, OddKeysKey;
    odd_names: "odd_names" OddNames, OddNamesKey;
    outbox: "outbox" Outbox, OutboxKey;
    strict: "strict" Strict, StrictKey;
    structures: "structures" Structures, StructuresKey;
    texts: "texts" Texts, TextsKey;
    times: "times" Times, TimesKey;
    toasted: "toasted" Toasted, ToastedKey;
    toasted_full: "toasted_full" ToastedFull, ToastedFullKey;
    truncated: "truncated" Truncated, TruncatedKey;
    truncated_too: "truncated_too" TruncatedToo, TruncatedTooKey;
    unknown_types: "unknown_types" UnknownTypes, UnknownTypesKey;
    users: "users" Users, UsersKey;
    users_full: "users_full" UsersFull, UsersFullKey;
    users_index: "users_index" UsersIndex, UsersIndexKey;
    users_nothing: "users_nothing" UsersNothing, UsersNothingKey;
    visits_eu: "visits_eu" VisitsEu, VisitsEuKey;
    visits_us: "visits_us" VisitsUs, VisitsUsKey;
}

/// A generated column is sent by snapshots only.
#[test]
fn damaged() {
    let bare = Configuration::read("bare");
    for golden in bare.of_table("damaged") {
        DatabaseEvent::<Damaged>::from_record(&golden.record()).unwrap();
    }
    assert!(keys::<DamagedKey>(&bare, "damaged") > 0);
}

/// The table is another one after each case.
#[test]
fn evolving() {
    let bare = Configuration::read("bare");
    for golden in bare
        .of_table("evolving")
        .filter(|golden| golden.case == "snapshot")
    {
        DatabaseEvent::<Evolving>::from_record(&golden.record()).unwrap();
    }
    assert!(keys::<EvolvingKey>(&bare, "evolving") > 0);
}

/// Rows of a partitioned table are in the topics of its partitions.
#[test]
fn visits() {
    let bare = Configuration::read("bare");
    assert!(rows::<Visits>(&bare, "visits_eu") > 0);
    assert!(keys::<VisitsKey>(&bare, "visits_us") > 0);
}
