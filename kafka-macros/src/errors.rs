//! Collects every mistake of one function, so that all of them are told at once.

use std::fmt::Display;

use proc_macro2::Span;
use quote::ToTokens;

/// The mistakes found so far.
///
/// Panics if it is dropped without having been asked for them: a rule whose verdict nobody reads is a bug here, as in
/// serde's `Ctxt`.
#[derive(Default)]
pub(crate) struct Errors {
    found: Option<syn::Error>,
    is_read: bool,
}

impl Errors {
    /// Adds a mistake at these tokens: the ones the user must change.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds a mistake at a span.
    pub(crate) fn at_span(&mut self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    /// Adds a mistake.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.found {
            Some(found) => found.combine(error),
            None => self.found = Some(error),
        }
    }

    /// Returns all mistakes as one error, or `Ok` if there was none.
    pub(crate) fn finish(mut self) -> syn::Result<()> {
        self.is_read = true;
        self.found.take().map_or(Ok(()), Err)
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        assert!(
            self.is_read || std::thread::panicking(),
            "the errors of a function were not read"
        );
    }
}

/// Returns the name that was probably meant: the same but for case and `-`, or at most a third of it mistyped.
pub(crate) fn closest<'a>(written: &str, names: &[&'a str]) -> Option<&'a str> {
    let written = written.to_lowercase().replace('-', "_");
    names
        .iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&written, &name.to_lowercase()),
                *name,
            )
        })
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "not read")]
    fn errors_that_nobody_reads_are_a_bug() {
        drop(Errors::default());
    }

    #[test]
    fn all_errors_are_kept() {
        let mut errors = Errors::default();
        errors.at_span(Span::call_site(), "one");
        errors.at_span(Span::call_site(), "two");

        let all = errors.finish().err().into_iter().flatten();

        assert_eq!(all.count(), 2);
    }

    #[test]
    fn a_near_name_is_offered() {
        let names = ["concurrency", "group", "dead_letter"];

        assert_eq!(closest("concurency", &names), Some("concurrency"));
        assert_eq!(closest("Dead-Letter", &names), Some("dead_letter"));
        assert_eq!(closest("colour", &names), None);
    }
}
