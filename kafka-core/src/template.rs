//! Fills `${NAME}` and `${NAME:default}` in topics and groups from the environment.

/// Why a template could not be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The variable is not set and has no default.
    #[error(
        "environment variable {0} is not set and has no default: set it, or write ${{{0}:default}}"
    )]
    Unset(String),
    /// A `${` without its `}`, or without a name.
    #[error("`{0}` is not a template: write ${{NAME}} or ${{NAME:default}}")]
    Malformed(String),
}

/// Fills a template; `lookup` gives the value of a variable. An empty value counts as set.
pub(crate) fn fill(
    template: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, TemplateError> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("${") {
        let malformed = || TemplateError::Malformed(template.to_owned());
        let end = rest[start..].find('}').ok_or_else(malformed)? + start;
        let (name, default) = match rest[start + 2..end].split_once(':') {
            Some((name, default)) => (name, Some(default)),
            None => (&rest[start + 2..end], None),
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(malformed());
        }
        let value = lookup(name).or_else(|| default.map(str::to_owned));
        filled.push_str(&rest[..start]);
        filled.push_str(&value.ok_or_else(|| TemplateError::Unset(name.to_owned()))?);
        rest = &rest[end + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<String, TemplateError> {
        fill(template, &|name| (name == "DB").then(|| "auth".to_owned()))
    }

    #[test]
    fn variables_beat_defaults() {
        assert_eq!(
            filled("${DB:x}.public.${TABLE:users}"),
            Ok("auth.public.users".into())
        );
        assert_eq!(filled("plain"), Ok("plain".into()));
    }

    #[test]
    fn an_unset_variable_without_default_is_named() {
        assert_eq!(
            filled("${NOPE}.x"),
            Err(TemplateError::Unset("NOPE".into()))
        );
    }

    #[test]
    fn a_broken_template_is_shown() {
        for broken in ["${", "${}", "${A", "a${b c}d", "${:x}"] {
            assert_eq!(filled(broken), Err(TemplateError::Malformed(broken.into())));
        }
    }
}
