//! Exists for `links`: Cargo then refuses two versions of this crate, and so two registries, in one binary.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
}
