//! `#[classify]`: registers an error type that knows whether another attempt may help.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{ItemImpl, Path};

use crate::args::{self, Value};
use crate::errors::Errors;
use crate::model::{krate, unique};

const OPTIONS: &[(&str, &str)] = &[("crate", "crate = path::to::kafka_runtime")];

/// Judges the impl and prints the registration of its type.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let krate = krate(option(arguments, &mut errors).as_ref());
    let item = read(item, &mut errors);
    errors.finish()?;
    Ok(item
        .map(|item| registration(&krate, &item))
        .unwrap_or_default())
}

fn option(arguments: TokenStream, errors: &mut Errors) -> Option<Path> {
    let args = args::parse(arguments, errors);
    for topic in &args.topics {
        errors.at(
            topic,
            "`#[classify]` takes no topic: it is for an error type",
        );
    }
    let mut given = None;
    for setting in unique(&args.settings, OPTIONS, errors) {
        match &setting.value {
            Value::Path(path) => given = Some(path.path.clone()),
            _ => errors.at_span(
                args::span_of(setting),
                "`crate` takes a path: `crate = path::to::kafka_runtime`",
            ),
        }
    }
    given
}

fn read(item: TokenStream, errors: &mut Errors) -> Option<ItemImpl> {
    let form = "`#[classify]` goes on `impl Classify for MyError`";
    let start = item
        .clone()
        .into_iter()
        .find(|token| !matches!(token.to_string().as_str(), "#"));
    let Ok(item) = syn::parse2::<ItemImpl>(item) else {
        errors.at(start, form);
        return None;
    };
    // The registration is for what the trait says.
    match &item.trait_ {
        None => errors.at(&item.self_ty, form),
        Some((path, _)) => {
            if path
                .segments
                .last()
                .is_none_or(|last| last.ident != "Classify")
            {
                errors.at(path, form);
            }
        }
    }
    // A registration is of one type, not of a family of them.
    if !item.generics.params.is_empty() {
        errors.at(
            &item.generics,
            "`#[classify]` cannot register a generic type: leave it out, and give each type to \
             `Runtime::builder().classify::<MyError<…>>()`",
        );
    }
    Some(item)
}

fn registration(krate: &TokenStream, item: &ItemImpl) -> TokenStream {
    let private = quote!(#krate::__private);
    let ty = &item.self_ty;
    let attrs = item.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    let of = quote_spanned!(ty.span()=> of);
    let classifier = quote!(#private::Classifier::#of::<#ty>()).into_token_stream();
    quote! {
        #(#attrs)*
        const _: () = {
            #private::submit! { #private::ClassifierRegistration(#classifier) }
        };
    }
}
