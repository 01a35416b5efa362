//! The grammar of what stands in the attribute's parentheses: topics, and settings by name.
//!
//! It knows no option. What it cannot read it reports, and goes on after the next comma, so that one mistake does not
//! hide another.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::{ParseBuffer, ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{ExprPath, Lit, LitInt, LitStr, Token, bracketed, parenthesized, token};

use crate::errors::Errors;

/// What an attribute was given.
#[derive(Default)]
pub(crate) struct Args {
    /// The strings without a name.
    pub(crate) topics: Vec<LitStr>,
    /// `name = value` and `name(…)`, in the order written.
    pub(crate) settings: Vec<Setting>,
    /// True if something was reported and left out; it may have been a topic.
    pub(crate) is_partial: bool,
}

/// `name = value`, `name(…)`, or a bare `name`.
pub(crate) struct Setting {
    pub(crate) name: Ident,
    pub(crate) value: Value,
}

impl Setting {
    /// Returns the name without `r#`.
    pub(crate) fn name(&self) -> String {
        self.name.unraw().to_string()
    }
}

/// What stands after a name.
pub(crate) enum Value {
    /// `= "text"`
    Text(LitStr),
    /// `= 8`
    Number(LitInt),
    /// `= path::to::something`
    Path(ExprPath),
    /// `(name = value, …)`
    List(Args),
    /// `= [value, …]`, and where it stands.
    Array(Vec<Value>, Span),
    /// `= ` something that no option takes.
    Other(TokenStream),
    /// Nothing.
    Missing,
}

impl ToTokens for Value {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Text(text) => text.to_tokens(tokens),
            Self::Number(number) => number.to_tokens(tokens),
            Self::Path(path) => path.to_tokens(tokens),
            Self::Other(other) => other.to_tokens(tokens),
            Self::List(_) | Self::Array(..) | Self::Missing => {}
        }
    }
}

/// Reads the attribute's arguments; what cannot be read is in `errors`.
pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Args {
    let parsed = (|input: ParseStream<'_>| Ok(args(input, errors))).parse2(tokens);
    parsed.unwrap_or_else(|error| {
        errors.push(error);
        Args::default()
    })
}

fn args(input: ParseStream<'_>, errors: &mut Errors) -> Args {
    let mut args = Args::default();
    while !input.is_empty() {
        if let Err(error) = arg(input, &mut args, errors) {
            errors.push(error);
            rest_of_arg(input);
            args.is_partial = true;
        }
        if input.is_empty() {
            break;
        }
        if input.parse::<Token![,]>().is_err() {
            errors.at_span(input.span(), "write a comma before this");
        }
    }
    args
}

/// Reads up to the next comma, or to where one is missing.
fn arg(input: ParseStream<'_>, args: &mut Args, errors: &mut Errors) -> syn::Result<()> {
    if input.peek(LitStr) {
        args.topics.push(input.parse()?);
    } else if input.peek(Ident::peek_any) {
        let name = input.call(Ident::parse_any)?;
        if input.peek(Token![::]) {
            let path = [name.to_token_stream(), rest_of_arg(input)];
            return Err(not_a_literal(TokenStream::from_iter(path)));
        }
        let value = value(input, errors)?;
        args.settings.push(Setting { name, value });
    } else if input.peek(Lit) {
        return Err(not_a_literal(input.parse::<Lit>()?));
    } else {
        return Err(
            input.error("expected a topic (`\"orders\"`) or an option (`group = \"billing\"`)")
        );
    }
    if is_end(input) || is_start(input) {
        return Ok(());
    }
    Err(syn::Error::new_spanned(
        rest_of_arg(input),
        "unexpected: a topic or an option ends here",
    ))
}

/// A topic that the macro cannot read, since it is the value of something.
pub(crate) fn not_a_literal(tokens: impl ToTokens) -> syn::Error {
    syn::Error::new_spanned(
        tokens,
        "a topic is written as a string: `\"orders\"`; one from the environment as `\"${NAME:default}\"`",
    )
}

fn value(input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<Value> {
    if input.peek(token::Paren) {
        let content;
        parenthesized!(content in input);
        return Ok(Value::List(args(&content, errors)));
    }
    if input.parse::<Option<Token![=]>>()?.is_none() || is_end(input) {
        return Ok(Value::Missing);
    }
    one(input)
}

/// Reads a value up to the next comma, or to where one is missing.
fn one(input: ParseStream<'_>) -> syn::Result<Value> {
    let ahead = input.fork();
    let value = if input.peek(LitStr) {
        Value::Text(input.parse()?)
    } else if input.peek(token::Bracket) && is_end(&after_one(input)) {
        let content;
        let brackets = bracketed!(content in input);
        let values = content.parse_terminated(one, Token![,])?;
        Value::Array(values.into_iter().collect(), brackets.span.join())
    } else if input.peek(LitInt) {
        Value::Number(input.parse()?)
    } else if is_path(&ahead) {
        Value::Path(input.parse()?)
    } else {
        Value::Other(rest_of_arg(input))
    };
    if is_end(input) || is_start(input) {
        return Ok(value);
    }
    // An expression: what was read is only its start.
    let mut all = value.to_token_stream();
    all.extend(rest_of_arg(input));
    Ok(Value::Other(all))
}

/// Where the input is after its next token.
fn after_one(input: ParseStream<'_>) -> ParseBuffer<'_> {
    let ahead = input.fork();
    // At the end of the input there is none.
    drop(ahead.parse::<TokenTree>());
    ahead
}

/// True for a path, also one with `crate` or type arguments in it; keywords that start an expression are none.
fn is_path(ahead: ParseStream<'_>) -> bool {
    !ahead.peek(Lit) && ahead.parse::<ExprPath>().is_ok()
}

fn is_end(input: ParseStream<'_>) -> bool {
    input.is_empty() || input.peek(Token![,])
}

/// True if another argument starts here, for which only the comma is missing.
fn is_start(input: ParseStream<'_>) -> bool {
    input.peek(LitStr)
        || (input.peek(Ident::peek_any) && (input.peek2(Token![=]) || input.peek2(token::Paren)))
}

/// Takes everything up to the next comma.
fn rest_of_arg(input: ParseStream<'_>) -> TokenStream {
    let mut rest = TokenStream::new();
    while !is_end(input) {
        let Ok(token) = input.parse::<TokenTree>() else {
            break;
        };
        rest.extend([token]);
    }
    rest
}

/// The span of a value, or of the name if there is none.
pub(crate) fn span_of(setting: &Setting) -> Span {
    match &setting.value {
        Value::List(_) | Value::Missing => setting.name.span(),
        Value::Array(_, span) => *span,
        value => value.span(),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn read(tokens: TokenStream) -> (Args, Vec<String>) {
        let mut errors = Errors::default();
        let args = parse(tokens, &mut errors);
        let errors = errors.finish().err().into_iter().flatten();
        (args, errors.map(|error| error.to_string()).collect())
    }

    fn names(args: &Args) -> Vec<String> {
        args.settings.iter().map(Setting::name).collect()
    }

    #[test]
    fn topics_and_settings_come_in_any_order() {
        let (args, errors) = read(quote!(
            group = "g",
            "a",
            crate = b::c,
            "d",
            retry(attempts = 8),
        ));

        assert_eq!(errors, [""; 0]);
        assert_eq!(
            args.topics.iter().map(LitStr::value).collect::<Vec<_>>(),
            ["a", "d"]
        );
        assert_eq!(names(&args), ["group", "crate", "retry"]);
    }

    #[test]
    fn every_kind_of_value_is_told_apart() {
        let (args, errors) = read(quote!(
            a = "t",
            b = 8,
            c = crate::x::<u8>,
            d(e = 1),
            f,
            g = -1,
            h = X::new(1),
            i = [1],
            j = true,
            k = 30s
        ));

        let kinds = args.settings.iter().map(|setting| match setting.value {
            Value::Text(_) => "text",
            Value::Number(_) => "number",
            Value::Path(_) => "path",
            Value::List(_) => "list",
            Value::Array(..) => "array",
            Value::Other(_) => "other",
            Value::Missing => "missing",
        });

        assert_eq!(errors, [""; 0]);
        assert_eq!(
            kinds.collect::<Vec<_>>(),
            [
                "text", "number", "path", "list", "missing", "number", "other", "array", "other",
                "number"
            ]
        );
    }

    #[test]
    fn a_mistake_does_not_hide_the_next() {
        let (args, errors) = read(quote!(7, group = "g" name = "n", , a::b, ordering = "key"));

        assert_eq!(names(&args), ["group", "name", "ordering"]);
        assert_eq!(errors.len(), 4, "{errors:?}");
    }
}
