//! stub
use proc_macro::TokenStream;
/// x
#[proc_macro_attribute]
pub fn topic_handler(_: TokenStream, item: TokenStream) -> TokenStream {
    item
}
/// x
#[proc_macro_attribute]
pub fn classify(_: TokenStream, item: TokenStream) -> TokenStream {
    item
}
