#![forbid(unsafe_code)]
#![deny(warnings)]

mod outer {
    mod private {
        mod deepest {
            use kafka_runtime::{Raw, topic_handler};

            struct Unseen;

            impl kafka_runtime::FromRecord<'_> for Unseen {
                fn from_record(_: &kafka_runtime::Record) -> Result<Self, kafka_runtime::DecodeError> {
                    Ok(Self)
                }
            }

            #[topic_handler("a")]
            async fn private(_: Unseen) {}

            #[topic_handler("b")]
            pub(super) async fn restricted(_: Raw) {}
        }
    }
}

macro_rules! handler {
    ($name:ident, $topic:literal, $payload:ty) => {
        #[kafka_runtime::topic_handler($topic)]
        async fn $name(_: $payload) {}
    };
    ($topic:literal, $returned:ty) => {
        #[kafka_runtime::topic_handler($topic)]
        async fn named_by_macro(
            event: kafka_runtime::Raw,
            _: kafka_runtime::Headers,
            metadata: kafka_runtime::RecordMetadata,
        ) -> $returned {
            let _ = (event, metadata);
        }
    };
}

handler!(by_macro, "c", kafka_runtime::Raw);
handler!(by_macro_too, "d", kafka_runtime::DatabaseEvent<u8>);

handler!("f", ());

fn main() {
    #[kafka_runtime::topic_handler("e")]
    async fn inside_a_function(_: Local) {}

    #[derive(serde::Deserialize)]
    struct Local {}

    assert_eq!(kafka_runtime::registered().len(), 6);
}
