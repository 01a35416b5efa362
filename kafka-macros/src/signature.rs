//! What the function under the attribute must look like.
//!
//! Only what stands before the body is read: the function is emitted as it came.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::visit::{self, Visit};
use syn::{
    AngleBracketedGenericArguments, Attribute, FnArg, GenericArgument, GenericParam, Lifetime,
    PathArguments, PathSegment, ReturnType, Safety, Signature, Type, TypeImplTrait, TypeReference,
    Visibility, token,
};

use crate::errors::Errors;
use crate::model::Options;

/// The payload types of the runtime, with the number of their type arguments. Only their name is known here: the
/// number keeps a type of the user's that has the same name out of it, mostly.
const PAYLOADS: &[(&str, usize)] = &[
    ("Batch", 1),
    ("DatabaseEvent", 1),
    ("FlatEvent", 1),
    ("Json", 1),
    ("JsonOrText", 1),
    ("OutboxEvent", 1),
    ("Raw", 0),
    ("Record", 0),
    ("Text", 0),
];

/// The extractors of the runtime, likewise.
const EXTRACTORS: &[(&str, usize)] = &[
    ("CancellationToken", 0),
    ("Headers", 0),
    ("KafkaProducer", 0),
    ("Key", 1),
    ("KeyChange", 1),
    ("RecordMetadata", 0),
    ("State", 1),
];

/// The extractors of one record: a batch has many.
const OF_A_RECORD: &[(&str, usize)] = &[
    ("Headers", 0),
    ("Key", 1),
    ("KeyChange", 1),
    ("RecordMetadata", 0),
];

/// The head of the item under the attribute.
pub(crate) struct HandlerItem {
    attrs: Vec<Attribute>,
    signature: Signature,
}

impl Parse for HandlerItem {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        let start = input.span();
        let signature = input.parse().map_err(|_| {
            syn::Error::new(
                start,
                "`#[topic_handler]` goes on an async function: `async fn on_order(order: Order)`",
            )
        })?;
        // The body belongs to the user and the compiler.
        if !input.peek(token::Brace) {
            return Err(
                input.error("a topic handler is a function with a body, not part of a trait")
            );
        }
        input.parse::<TokenStream>()?;
        Ok(Self { attrs, signature })
    }
}

/// A function that can be a handler.
pub(crate) struct Function {
    pub(crate) ident: Ident,
    /// Attributes that the generated code must have too.
    pub(crate) attrs: Vec<TokenStream>,
    pub(crate) payload: Type,
    /// What each record of a batch is decoded to; `None` if a call takes one record.
    pub(crate) element: Option<Type>,
    pub(crate) extractors: Vec<Type>,
    pub(crate) output: ReturnType,
}

impl Function {
    /// Judges a function by the options of its handler.
    pub(crate) fn new(item: &HandlerItem, options: &Options, errors: &mut Errors) -> Option<Self> {
        let signature = &item.signature;
        check_attributes(&item.attrs, errors);
        check_qualifiers(signature, errors);
        check_generics(signature, errors);
        let types = argument_types(signature, errors)?;
        let (payload, extractors) = types.split_first()?;
        if is_payload(payload, extractors, errors) {
            match (element(payload), &options.batch) {
                (Some(element), option) => {
                    let has_option = option.is_some() || options.has_unknown;
                    check_batch(payload, element, has_option, errors);
                }
                (None, Some(_)) => check_is_batch(payload, errors),
                (None, None) => check_payload(payload, options.decode.is_some(), errors),
            }
        }
        if options.batch.is_some() || element(payload).is_some() {
            check_batch_extractors(extractors, errors);
        }
        Some(Self {
            ident: signature.ident.clone(),
            attrs: item.attrs.iter().filter_map(inherited).collect(),
            payload: (*payload).clone(),
            element: element(payload).cloned(),
            extractors: extractors.iter().copied().cloned().collect(),
            output: signature.output.clone(),
        })
    }

    /// Returns the function's name without `r#`.
    pub(crate) fn name(&self) -> String {
        self.ident.unraw().to_string()
    }
}

/// An attribute that the generated code needs as well: it must not be there if the function is not, and must not warn
/// of a type for which the function does not.
fn inherited(attr: &Attribute) -> Option<TokenStream> {
    let meta = &attr.meta;
    if attr.path().is_ident("cfg") || attr.path().is_ident("allow") {
        return Some(quote::quote!(#[#meta]));
    }
    if attr.path().is_ident("expect") {
        let lints = &meta.require_list().ok()?.tokens;
        return Some(quote::quote!(#[allow(#lints)]));
    }
    None
}

fn check_attributes(attrs: &[Attribute], errors: &mut Errors) {
    // A function is one handler.
    for attr in attrs {
        if attr
            .path()
            .segments
            .last()
            .is_some_and(|last| last.ident == "topic_handler")
        {
            errors.at(
                attr.path(),
                "one `#[topic_handler]` for each function: give it all topics (`\"orders\", \"payments\"`), or write a \
                 second function that calls this one",
            );
        }
    }
}

fn check_qualifiers(signature: &Signature, errors: &mut Errors) {
    // The runtime awaits the handler.
    if signature.asyncness.is_none() {
        errors.at(
            signature.fn_token,
            format!("a topic handler is async: `async fn {}`", signature.ident),
        );
    }
    // The runtime calls the handler from safe code, as a Rust function.
    if let Some(token) = &signature.constness {
        errors.at(token, "a topic handler cannot be const: remove `const`");
    }
    if let Safety::Unsafe(token) = &signature.safety {
        errors.at(
            token,
            "a topic handler cannot be unsafe: write a safe function that calls it",
        );
    }
    if let Some(abi) = &signature.abi {
        errors.at(abi, "a topic handler is a Rust function: remove `extern`");
    }
    if let Some(variadic) = &signature.variadic {
        errors.at(
            variadic,
            "a topic handler cannot be variadic: name each argument",
        );
    }
}

fn check_generics(signature: &Signature, errors: &mut Errors) {
    for param in &signature.generics.params {
        match param {
            // The lifetime of a record is inferred.
            GenericParam::Lifetime(param) => errors.at(
                param,
                format!(
                    "a topic handler has no named lifetimes: remove this and write `'_` for `{}`",
                    param.lifetime
                ),
            ),
            // A registration is one function, not a family of them.
            GenericParam::Type(param) => errors.at(
                param,
                format!(
                    "a topic handler cannot be generic: write the type instead of `{}`",
                    param.ident
                ),
            ),
            GenericParam::Const(param) => errors.at(
                param,
                format!(
                    "a topic handler cannot be generic: write the value instead of `{}`",
                    param.ident
                ),
            ),
        }
    }
}

/// Returns the types of the arguments; `None` if one is missing or has no type.
fn argument_types<'a>(signature: &'a Signature, errors: &mut Errors) -> Option<Vec<&'a Type>> {
    let mut types = Vec::new();
    // The payload is always taken.
    if signature.inputs.is_empty() {
        errors.at_span(
            signature.paren_token.span.join(),
            "a topic handler takes the payload: `(order: Order)`, or `(_: Raw)` if the value does not matter",
        );
    }
    for input in &signature.inputs {
        match input {
            // There is no value to call a method on.
            FnArg::Receiver(receiver) => errors.at(
                receiver,
                "a topic handler is not a method: write a free function, and take what it needs as `State<T>`",
            ),
            FnArg::Typed(argument) => {
                // Generated code passes every argument, or would have to know what `cfg` says.
                for attr in argument.attrs.iter().filter(|attr| attr.path().is_ident("cfg")) {
                    errors.at(attr, "put `cfg` on the function: write it once for each case");
                }
                check_impl_trait(&argument.ty, errors);
                types.push(&*argument.ty);
            }
        }
    }
    (types.len() == signature.inputs.len()).then_some(types)
}

/// An argument's type is written out: `impl Trait` makes the function generic.
fn check_impl_trait(ty: &Type, errors: &mut Errors) {
    struct Visitor<'e>(&'e mut Errors);
    impl<'ast> Visit<'ast> for Visitor<'_> {
        fn visit_type_impl_trait(&mut self, found: &'ast TypeImplTrait) {
            self.0.at(
                found,
                "a topic handler cannot be generic: write the type instead of `impl`",
            );
        }
    }
    Visitor(errors).visit_type(ty);
}

/// The first argument is the payload, and no other is; false if it is not.
fn is_payload(payload: &Type, extractors: &[&Type], errors: &mut Errors) -> bool {
    let late = extractors.iter().find(|ty| named(ty, PAYLOADS).is_some());
    if let Some(name) = named(payload, EXTRACTORS) {
        // The payload comes first. If it is there, but later, that is one mistake.
        let advice = match late {
            Some(late) => format!("move `{}` before it", text(late)),
            None => {
                "write the payload before it, or `_: Raw` if the value does not matter".to_owned()
            }
        };
        errors.at(
            payload,
            format!("the first argument is the payload, and `{name}` is none: {advice}"),
        );
        return false;
    }
    // There is one payload.
    for ty in extractors.iter().filter(|ty| named(ty, PAYLOADS).is_some()) {
        errors.at(
            ty,
            format!(
                "`{}` is a payload, and the payload is the first argument: remove one of them",
                text(ty)
            ),
        );
    }
    true
}

fn check_payload(payload: &Type, has_decoder: bool, errors: &mut Errors) {
    if !has_decoder {
        check_reference(payload, errors);
    }
    check_static(payload, errors);
    check_owned(payload, errors);
}

/// A batch is filled and handed over as the option says, and holds what its records were decoded to.
fn check_batch(payload: &Type, element: &Type, has_option: bool, errors: &mut Errors) {
    if !has_option {
        errors.at(
            payload,
            format!(
                "a `Batch` comes with the option `batch`: `#[topic_handler(…, batch(max = 500, linger = \"50ms\"))]`; or \
                 take one record at a time: `{}`",
                text(element)
            ),
        );
    }
    if let Type::Reference(_) = bare(payload) {
        return check_reference(payload, errors);
    }
    check_static(payload, errors);
    check_element(element, errors);
}

/// The records of a batch are decoded before the function is called, each on its own: nothing borrows from them.
fn check_element(element: &Type, errors: &mut Errors) {
    struct Visitor<'e>(&'e mut Errors);
    impl<'ast> Visit<'ast> for Visitor<'_> {
        fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
            self.0.at(
                reference,
                "a batch holds owned payloads: write `String` for text, `Raw` for bytes",
            );
        }

        fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
            if lifetime.ident != "static" {
                self.0.at(
                    lifetime,
                    "a batch holds owned payloads: write a type that does not borrow from its record",
                );
            }
        }
    }
    Visitor(errors).visit_type(element);
}

/// With the option `batch`, a call takes many records.
fn check_is_batch(payload: &Type, errors: &mut Errors) {
    errors.at(
        payload,
        format!(
            "with the option `batch` the payload is a batch: write `{}`, or remove the option",
            as_batch(payload)
        ),
    );
}

/// The batch that was probably meant: of `Vec<Order>`, `&[Order]` and `Order`, `Batch<Order>`.
fn as_batch(payload: &Type) -> String {
    match bare(payload) {
        Type::Reference(reference) => as_batch(&reference.elem),
        Type::Slice(slice) => format!("Batch<{}>", text(&slice.elem)),
        Type::Path(_) => match type_argument(payload, "Vec") {
            Some(element) => format!("Batch<{}>", text(element)),
            // A tombstone is one of the records.
            None => match type_argument(payload, "Option").and_then(element) {
                Some(element) => format!("Batch<Option<{}>>", text(element)),
                None => format!("Batch<{}>", text(payload)),
            },
        },
        other => format!("Batch<{}>", text(other)),
    }
}

/// What is different for each record of a batch cannot be one argument.
fn check_batch_extractors(extractors: &[&Type], errors: &mut Errors) {
    for ty in extractors {
        let Some(name) = named(ty, OF_A_RECORD) else {
            continue;
        };
        let instead = match name {
            "Key" => {
                let key = type_argument(ty, "Key").map_or_else(|| "_".to_owned(), text);
                format!("`record.key_as::<{key}>()`, or its bytes: `record.key()`")
            }
            "Headers" => "`record.headers()`".to_owned(),
            "KeyChange" => "`KeyChange::of(record.record())`".to_owned(),
            _ => "`record.offset()`, `record.timestamp()`, `record.attempt()`; the batch has `topic()`, `partition()` and \
                  `group()`"
                .to_owned(),
        };
        errors.at(
            ty,
            format!(
                "`{}` is of one record, and a batch has many: remove it and ask each of them, {instead}",
                text(ty)
            ),
        );
    }
}

/// Returns what a `Batch<_>`, or a reference to one, holds.
fn element(payload: &Type) -> Option<&Type> {
    match bare(payload) {
        Type::Reference(reference) => element(&reference.elem),
        payload => type_argument(payload, "Batch"),
    }
}

/// Returns the type argument of a type of this name that has one.
fn type_argument<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = bare(ty) else {
        return None;
    };
    let last = path.path.segments.last()?;
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) if last.ident == name => {
            match (arguments.args.first()?, arguments.args.len()) {
                (GenericArgument::Type(argument), 1) => Some(argument),
                _ => None,
            }
        }
        _ => None,
    }
}

/// `JsonOrText` decodes for any lifetime, so that it can fall back.
fn check_owned(payload: &Type, errors: &mut Errors) {
    struct Visitor<'e>(&'e mut Errors);
    impl<'ast> Visit<'ast> for Visitor<'_> {
        fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
            if lifetime.ident != "static" {
                self.0.at(
                    lifetime,
                    "`JsonOrText` holds an owned type: write one, or take `Json`",
                );
            }
        }
    }
    if named(payload, PAYLOADS) == Some("JsonOrText") {
        Visitor(errors).visit_type(payload);
    }
}

/// What borrows from a record is in a type of its own; text alone may be borrowed.
fn check_reference(payload: &Type, errors: &mut Errors) {
    let Type::Reference(reference) = bare(payload) else {
        return;
    };
    let advice = match bare(&reference.elem) {
        Type::Path(path) if path.path.is_ident("str") && reference.mutability.is_none() => return,
        Type::Slice(_) => "take the bytes as `Raw`".to_owned(),
        owned => format!("take it by value: `{}`", text(owned)),
    };
    errors.at(payload, format!("the payload is not a reference: {advice}"));
}

/// A payload may borrow from its record, which does not live for ever.
fn check_static(payload: &Type, errors: &mut Errors) {
    struct Visitor<'e>(&'e mut Errors);
    impl Visitor<'_> {
        fn check(&mut self, lifetime: &Lifetime) {
            if lifetime.ident == "static" {
                self.0
                    .at(lifetime, "a record does not live for `'static`: write `'_`");
            }
        }
    }
    impl<'ast> Visit<'ast> for Visitor<'_> {
        fn visit_path_segment(&mut self, segment: &'ast PathSegment) {
            // `Cow<'static, str>` owns its text.
            if segment.ident != "Cow" {
                visit::visit_path_segment(self, segment);
            }
        }

        fn visit_angle_bracketed_generic_arguments(
            &mut self,
            arguments: &'ast AngleBracketedGenericArguments,
        ) {
            for argument in &arguments.args {
                if let GenericArgument::Lifetime(lifetime) = argument {
                    self.check(lifetime);
                }
            }
            visit::visit_angle_bracketed_generic_arguments(self, arguments);
        }

        fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
            if let Some(lifetime) = &reference.lifetime {
                self.check(lifetime);
            }
            visit::visit_type_reference(self, reference);
        }
    }
    Visitor(errors).visit_type(payload);
}

/// Returns the name of a type that is in the list.
fn named(ty: &Type, names: &[(&'static str, usize)]) -> Option<&'static str> {
    let Type::Path(path) = bare(ty) else {
        return None;
    };
    let last = path.path.segments.last()?;
    let arguments = match &last.arguments {
        PathArguments::None => 0,
        PathArguments::AngleBracketed(arguments) => arguments.args.len(),
        PathArguments::Parenthesized(_) => return None,
    };
    names
        .iter()
        .find(|(name, count)| last.ident == name && *count == arguments)
        .map(|(name, _)| *name)
}

/// Returns a type without parentheses, and without the invisible ones of a `macro_rules`.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        ty => ty,
    }
}

/// Returns a type as its user would write it.
fn text(ty: &Type) -> String {
    let tokens = bare(ty).to_token_stream().to_string();
    tokens
        .replace(" :: ", "::")
        .replace(" <", "<")
        .replace("< ", "<")
        .replace(" >", ">")
        .replace(" ,", ",")
        .replace("& ", "&")
}
