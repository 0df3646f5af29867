//! The words of DynamoDB's expressions.

/// Longest expression (DynamoDB developer guide, "Quotas", read 2026-11).
const EXPRESSION_BYTES_MAX: usize = 4096;
/// Names that must be written as `#name`.
const RESERVED: &str = include_str!("reserved_words.txt");

/// One word or sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A name as such, a keyword or a function: what it is, its place decides.
    Word(&'a str),
    /// `#name`.
    Name(&'a str),
    /// `:value`.
    Value(&'a str),
    /// An operator, a comma or a parenthesis.
    Sign(&'a str),
}

impl<'a> Token<'a> {
    /// What was written.
    pub(crate) fn text(self) -> &'a str {
        let (Self::Word(text) | Self::Name(text) | Self::Value(text) | Self::Sign(text)) = self;
        text
    }

    /// Whether it is this keyword; case does not matter.
    pub(crate) fn is_keyword(self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// Whether DynamoDB refuses `name` where it is not written as `#name`.
pub(crate) fn is_reserved(name: &str) -> bool {
    let lines = RESERVED.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).any(|word| word.eq_ignore_ascii_case(name))
}

/// Cuts an expression into its tokens.
///
/// # Errors
/// DynamoDB's sentence for what is wrong.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    if EXPRESSION_BYTES_MAX < text.len() {
        let size = text.len();
        return Err(format!(
            "Expression size has exceeded the maximum allowed size; expression size: {size}"
        ));
    }
    let mut rest = text.trim_start();
    if rest.is_empty() {
        return Err("The expression can not be empty;".into());
    }
    let mut tokens = Vec::new();
    while !rest.is_empty() {
        let length = length(rest);
        if length == 0 {
            let wrong = rest.chars().next().unwrap_or_default();
            return Err(format!("Syntax error; token: \"{wrong}\", near: \"{}\"", near(rest)));
        }
        let (token, after) = rest.split_at(length);
        tokens.push(match token.as_bytes()[0] {
            b'#' => Token::Name(token),
            b':' => Token::Value(token),
            first if first.is_ascii_alphabetic() || first == b'_' => Token::Word(token),
            _ => Token::Sign(token),
        });
        rest = after.trim_start();
    }
    Ok(tokens)
}

/// How long the token is that `text` begins with; 0 when none does.
fn length(text: &str) -> usize {
    let signs = ["<>", "<=", ">=", "<", ">", "=", "(", ")", ",", "+", "-", ".", "[", "]"];
    if let Some(sign) = signs.into_iter().find(|sign| text.starts_with(sign)) {
        return sign.len();
    }
    let prefix = usize::from(text.starts_with(['#', ':']));
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let body = &text.as_bytes()[prefix..];
    // Digits may not begin a name, but may follow `#` and `:`.
    if prefix == 0 && body.first().is_some_and(u8::is_ascii_digit) {
        return 0;
    }
    match body.iter().take_while(|byte| is_part(byte)).count() {
        0 => 0,
        length => prefix + length,
    }
}

/// A little of what follows, as DynamoDB shows it.
fn near(text: &str) -> String {
    text.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_cut_into_its_words_and_signs() {
        let texts = |text| tokens(text).unwrap().into_iter().map(Token::text).collect::<Vec<_>>();
        assert_eq!(
            texts("NOT(#a<>:v1)AND attribute_exists( b_2 )"),
            ["NOT", "(", "#a", "<>", ":v1", ")", "AND", "attribute_exists", "(", "b_2", ")"]
        );
        assert_eq!(texts("a<=:b"), ["a", "<=", ":b"]);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for (text, part) in [
            ("", "can not be empty"),
            ("  ", "can not be empty"),
            ("a = 'x'", "token: \"'\""),
            ("a = 1", "token: \"1\""),
            ("# = :v", "token: \"#\""),
            ("ő = :v", "token: \"ő\""),
        ] {
            let error = tokens(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(tokens(&"a".repeat(4097)).unwrap_err().contains("size: 4097"));
    }

    #[test]
    fn reserved_words_are_known_in_either_case() {
        for word in ["NAME", "name", "Group", "zone", "abort"] {
            assert!(is_reserved(word), "{word}");
        }
        for word in ["pk", "holder", "Words", "read"] {
            assert_eq!(is_reserved(word), word == "read", "{word}");
        }
    }
}
