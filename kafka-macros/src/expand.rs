//! Prints what a handler becomes: an adapter, and a registration that the linker collects.
//!
//! The tokens only call functions of `kafka_core::__private`. Every path starts at the runtime's crate and every name
//! with `__kafka_`: a user may have a `Result`, a `mod core` or a `const record` of their own. Where the compiler can
//! find a fault (a bound that does not hold), the token it will point at has the span of what the user must change.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{GenericArgument, PathArguments, ReturnType, Type};

use crate::model::{HandlerModel, Options};
use crate::signature::{Function, bare};

/// Prints the registration of a handler; its function is not part of it.
pub(crate) fn registration(model: &HandlerModel) -> TokenStream {
    let krate = &model.krate;
    let private = quote!(#krate::__private);
    let attrs = &model.function.attrs;
    let (adapter, driver) = match &model.function.element {
        Some(element) => (
            batch_adapter(&private, model, element),
            quote!(batch_driver(__kafka_decode, __kafka_adapter)),
        ),
        None => (adapter(&private, model), quote!(driver(__kafka_adapter))),
    };
    let requires = requires(&private, &model.function);
    let constructor = constructor(&private, model);
    quote! {
        #(#attrs)*
        const _: () = {
            #adapter
            #requires
            fn __kafka_driver() -> #private::Driver {
                #private::#driver
            }
            #private::submit! { #constructor }
        };
    }
}

/// Decodes the arguments, calls the function, and makes an outcome of what it returned.
fn adapter(private: &TokenStream, model: &HandlerModel) -> TokenStream {
    let function = &model.function;
    // Locals are bound and used with one span: names inside a `macro_rules` are told apart by where they were written.
    let span = function.ident.span();
    let mut names = vec![format_ident!("__kafka_0", span = span)];
    let undecodable = quote!(#private::undecodable);
    let record = quote!(&__kafka_record);
    let payload = payload(private, &function.payload, &record, &model.options);
    let mut arguments = vec![argument(
        private,
        &names[0],
        &function.payload,
        &payload,
        &undecodable,
    )];
    for (at, ty) in function.extractors.iter().enumerate() {
        let name = format_ident!("__kafka_{}", at + 1, span = span);
        let value =
            quote!(<#ty as #private::FromContext<'_>>::from_context(&__kafka_record, &__kafka_cx));
        arguments.push(argument(private, &name, ty, &value, &undecodable));
        names.push(name);
    }
    let call = call(private, &function.ident, &names);
    let outcome = outcome(&function.output, &call, "of");
    quote! {
        fn __kafka_adapter(
            __kafka_record: #private::Record,
            __kafka_cx: #private::HandlerContext,
        ) -> impl #private::Future<Output = #private::Outcome> + #private::Send + 'static {
            use #private::outcome::{ByChain as _, ByType as _};
            use #private::payload::{ByInner as _, ByPayload as _, ByRow as _};
            async move {
                #(#arguments)*
                #outcome
            }
        }
    }
}

/// The same for a function that takes a batch: its records are decoded by a function of their own, one after another,
/// so that one that cannot be decoded does not fail the others.
fn batch_adapter(private: &TokenStream, model: &HandlerModel, element: &Type) -> TokenStream {
    let function = &model.function;
    let span = function.ident.span();
    let record = quote!(__kafka_record);
    let decode = payload(private, element, &record, &model.options);
    let batch = &function.payload;
    let mut names = vec![format_ident!("__kafka_0", span = span)];
    let mut arguments = Vec::new();
    for (at, ty) in function.extractors.iter().enumerate() {
        let name = format_ident!("__kafka_{}", at + 1, span = span);
        let value = quote!(<#ty as #private::FromBatchContext>::from_batch_context(&__kafka_cx));
        let end = quote!(#private::without_argument);
        arguments.push(argument(private, &name, ty, &value, &end));
        names.push(name);
    }
    let name = &names[0];
    let call = call(private, &function.ident, &names);
    let outcome = outcome(&function.output, &call, "of_batch");
    quote! {
        fn __kafka_decode(
            __kafka_record: &#private::Record,
        ) -> #private::Result<#element, #private::DecodeError> {
            use #private::payload::{ByInner as _, ByPayload as _, ByRow as _};
            #decode
        }
        fn __kafka_adapter(
            #name: #batch,
            __kafka_cx: #private::HandlerContext,
        ) -> impl #private::Future<Output = #private::BatchResult> + #private::Send + 'static {
            use #private::outcome::{ByChain as _, ByType as _};
            async move {
                #(#arguments)*
                #outcome
            }
        }
    }
}

/// Binds an argument, or ends the call.
fn argument(
    private: &TokenStream,
    name: &Ident,
    ty: &Type,
    value: &TokenStream,
    end: &TokenStream,
) -> TokenStream {
    quote! {
        let #name: #ty = match #value {
            #private::Ok(__kafka_value) => __kafka_value,
            #private::Err(__kafka_error) => return #end(__kafka_error),
        };
    }
}

/// Decodes the payload: by the user's decoder, else by its type.
fn payload(
    private: &TokenStream,
    ty: &Type,
    record: &TokenStream,
    options: &Options,
) -> TokenStream {
    if let Some(decode) = &options.decode {
        return quote!(#private::decode_with::<#ty>(#record, #decode));
    }
    // The compiler blames the receiver for a bound that does not hold.
    let span = blamed(ty).span();
    let decoder = quote_spanned!(span=> __kafka_decoder);
    let decode = quote_spanned!(span=> decode);
    quote! {{
        let #decoder = (&&&#private::payload::Payload::<#ty>::new()).__kafka_payload();
        #decoder.#decode(#record)
    }}
}

/// The type a user must change if a payload cannot be decoded: of `Option<DatabaseEvent<User>>`, `User`.
fn blamed(ty: &Type) -> &Type {
    let Type::Path(path) = bare(ty) else {
        return ty;
    };
    let Some(last) = path.path.segments.last() else {
        return ty;
    };
    let is_wrapper = WRAPPERS.iter().any(|name| last.ident == name);
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) if is_wrapper => match arguments.args.first() {
            Some(GenericArgument::Type(inner)) => blamed(inner),
            _ => ty,
        },
        _ => ty,
    }
}

/// Payloads whose own bounds speak of what they hold.
const WRAPPERS: [&str; 6] = [
    "DatabaseEvent",
    "FlatEvent",
    "Json",
    "JsonOrText",
    "Option",
    "OutboxEvent",
];

/// Calls the function. A future that is not `Send` is told at the function's name, once: every token of the call is
/// there.
fn call(private: &TokenStream, ident: &Ident, names: &[Ident]) -> TokenStream {
    // Resolved as the expansion's, so that no lint judges a use of the name that the user did not write.
    let mut function = ident.clone();
    function.set_span(ident.span().resolved_at(Span::call_site()));
    let local = Ident::new("__kafka_function", ident.span());
    let call = quote_spanned! {ident.span()=>
        __kafka_must_be_send(#local(#(#names),*)).await
    };
    quote! {{
        use #private::handler_future_must_be_send as __kafka_must_be_send;
        let #local = #function;
        #call
    }}
}

/// Makes an outcome of what a call returns. A type that is none is told at the return type.
fn outcome(output: &ReturnType, call: &TokenStream, of: &str) -> TokenStream {
    let span = match output {
        ReturnType::Default => Span::call_site(),
        ReturnType::Type(_, ty) => ty.span(),
    };
    let returned = quote_spanned!(span=> __kafka_returned);
    let of = Ident::new(of, span);
    quote! {
        let #returned = #call;
        (&#returned).__kafka_outcome().#of(#returned, &__kafka_cx)
    }
}

/// Declares what the extractors need before the runtime starts.
fn requires(private: &TokenStream, function: &Function) -> TokenStream {
    let types = &function.extractors;
    let extractor = if function.element.is_some() {
        quote!(FromBatchContext)
    } else {
        quote!(FromContext<'_>)
    };
    quote! {
        fn __kafka_requires(__kafka_requirements: &mut #private::Requirements) {
            #(<#types as #private::#extractor>::requires(__kafka_requirements);)*
        }
    }
}

/// The registration, with the options that were given.
fn constructor(private: &TokenStream, model: &HandlerModel) -> TokenStream {
    let options = &model.options;
    let name = match &options.name {
        Some(name) => name.value(),
        None => model.function.name(),
    };
    let topics = &options.topics;
    let setters = setters(private, options);
    // The call's line is the handler's place: that of the name, not of the attribute.
    let new = quote_spanned! {model.function.ident.span()=>
        __KafkaRegistration::new(#name, #private::module_path!(), __kafka_driver, __kafka_requires)
    };
    quote! {
        {
            use #private::Registration as __KafkaRegistration;
            #new.topics(&[#(#topics),*]) #setters
        }
    }
}

fn setters(private: &TokenStream, options: &Options) -> TokenStream {
    let retry = &options.retry;
    let choice = |ty: &dyn ToTokens| quote!(#private::#ty);
    let batch = options.batch.as_ref();
    let breaker = &options.breaker;
    let waits = options.retry_topics_ms.iter().copied();
    let waits: Vec<_> = waits.map(Literal::u64_unsuffixed).collect();
    let operations = &options.operations;
    let columns = &options.changed;
    let setters = [
        setter("pattern", options.pattern.as_ref()),
        setter("group", options.group.as_ref()),
        setter("ordering", options.ordering.map(|o| choice(&o))),
        setter(
            "concurrency",
            options.concurrency.map(Literal::u32_unsuffixed),
        ),
        setter(
            "timeout_ms",
            options.timeout_ms.map(Literal::u64_unsuffixed),
        ),
        setter(
            "retry_attempts",
            retry.attempts.map(Literal::u32_unsuffixed),
        ),
        setter(
            "retry_initial_ms",
            retry.initial_ms.map(Literal::u64_unsuffixed),
        ),
        setter("retry_max_ms", retry.max_ms.map(Literal::u64_unsuffixed)),
        setter("on_failure", options.on_failure.map(|o| choice(&o))),
        setter("dead_letter", options.dead_letter.as_ref()),
        setter("enabled_if", options.enabled_if.as_ref()),
        setter("start", options.start.map(|s| choice(&s))),
        setter(
            "max_payload",
            options.max_payload.map(Literal::u32_unsuffixed),
        ),
        batch.map(|_| quote!(.batch())),
        setter(
            "batch_max",
            batch
                .and_then(|batch| batch.max)
                .map(Literal::u32_unsuffixed),
        ),
        setter(
            "batch_linger_ms",
            batch
                .and_then(|batch| batch.linger_ms)
                .map(Literal::u64_unsuffixed),
        ),
        (!waits.is_empty()).then(|| quote!(.retry_topics_ms(&[#(#waits),*]))),
        breaker.is_off.then(|| quote!(.breaker_off())),
        setter("breaker_ratio", breaker.ratio.map(Literal::f64_unsuffixed)),
        setter(
            "breaker_records",
            breaker.records.map(Literal::u32_unsuffixed),
        ),
        (!operations.is_empty()).then(|| quote!(.operations(&[#(#private::#operations),*]))),
        (!columns.is_empty()).then(|| quote!(.changed(&[#(#columns),*]))),
    ];
    setters.into_iter().flatten().collect()
}

fn setter(name: &str, value: Option<impl ToTokens>) -> Option<TokenStream> {
    let name = format_ident!("{name}");
    value.map(|value| quote!(.#name(#value)))
}
