//! Settings from environment variables.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Characters of a bad value that an error quotes.
const MAX_QUOTED: usize = 100;

/// Reads a program's settings from environment variables, and reports every bad one at once.
///
/// An empty variable counts as unset, because a template passes empty text for a parameter without a
/// value.
///
/// ```
/// # use std::time::Duration;
/// # use record_telemetry::Variables;
/// struct Settings {
///     table: String,
///     max_age: Duration,
/// }
///
/// fn settings(variables: &mut Variables) -> Option<Settings> {
///     // Read all of them before the first `?`, so that all problems are found.
///     let table = variables.required("TABLE_NAME", "Table to write to");
///     let (name, default) = ("CACHE_MAX_AGE_SECONDS", Duration::from_secs(600));
///     let max_age = variables.seconds(name, "Lifetime of a cached data key", 1..=86_400, default);
///     Some(Settings { table: table?, max_age })
/// }
///
/// let variables = Variables::from_pairs([("CACHE_MAX_AGE_SECONDS", "soon")]);
/// let error = variables.read(settings).err().expect("two problems");
/// assert_eq!(
///     error.to_string(),
///     "invalid environment variables: TABLE_NAME is not set (Table to write to); \
///      CACHE_MAX_AGE_SECONDS is \"soon\": expected an integer from 1 to 86400"
/// );
/// ```
#[derive(Debug)]
pub struct Variables {
    source: Source,
    declared: Vec<Variable>,
    problems: Vec<String>,
}

/// An environment variable that a program reads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// Name of the variable.
    pub name: &'static str,
    /// Meaning, unit and allowed values.
    pub description: &'static str,
    /// Value used if the variable is unset.
    pub default: Option<String>,
    /// Whether the program needs the variable.
    pub is_required: bool,
}

/// Environment variables that are missing or have bad values.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid environment variables: {}", .0.join("; "))]
pub struct InvalidVariables(Vec<String>);

/// As [`Display`] shows them: a program whose `main` returns the error prints it with `Debug`.
impl fmt::Debug for InvalidVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

#[derive(Debug)]
enum Source {
    Process,
    Pairs(HashMap<String, OsString>),
}

impl Variables {
    /// Reads the variables of the process.
    #[must_use]
    pub fn from_env() -> Self {
        Self::new(Source::Process)
    }

    /// Reads the given variables instead of those of the process, for tests.
    pub fn from_pairs<N: Into<String>, V: Into<OsString>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self::new(Source::Pairs(pairs.collect()))
    }

    fn new(source: Source) -> Self {
        Self { source, declared: Vec::new(), problems: Vec::new() }
    }

    /// Returns the settings that `read` builds from the variables. `read` may return `None` only for a
    /// value that a method of [`Variables`] reported as missing or bad.
    ///
    /// # Errors
    /// Every variable that is missing or has a bad value.
    ///
    /// # Panics
    /// If `read` returns `None` although all variables are good.
    pub fn read<T>(
        mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, InvalidVariables> {
        let settings = read(&mut self);
        if self.problems.is_empty() {
            Ok(settings.expect("only a reported variable lacks a value"))
        } else {
            Err(InvalidVariables(self.problems))
        }
    }

    /// Returns the variables that were read so far, whether they are set or not.
    #[must_use]
    pub fn declared(&self) -> &[Variable] {
        &self.declared
    }

    /// Reads a variable that must be set. Returns `None` if it is missing or bad.
    pub fn required<T>(&mut self, name: &'static str, description: &'static str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        self.declare_required(name, description);
        self.parse(name, T::from_str)
    }

    /// Reads a variable that may be unset.
    pub fn optional<T>(&mut self, name: &'static str, description: &'static str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        self.optional_with(name, description, T::from_str)
    }

    /// Reads a variable that may be unset, with a parser of its own.
    pub fn optional_with<T, E: Display>(
        &mut self,
        name: &'static str,
        description: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.declare(name, description, None);
        self.parse(name, parse)
    }

    /// Reads a variable with a default.
    pub fn or<T>(&mut self, name: &'static str, description: &'static str, default: T) -> T
    where
        T: FromStr<Err: Display> + Display,
    {
        self.declare(name, description, Some(default.to_string()));
        self.parse(name, T::from_str).unwrap_or(default)
    }

    /// Reads a list, separated by commas, that must have an element. Returns `None` if it is missing
    /// or bad.
    pub fn required_list<T>(
        &mut self,
        name: &'static str,
        description: &'static str,
    ) -> Option<Vec<T>>
    where
        T: FromStr<Err: Display>,
    {
        self.declare_required(name, description);
        self.parse(name, parse_list)
    }

    /// Reads a list, separated by commas; empty if the variable is unset.
    pub fn list<T>(&mut self, name: &'static str, description: &'static str) -> Vec<T>
    where
        T: FromStr<Err: Display>,
    {
        self.optional_with(name, description, parse_list).unwrap_or_default()
    }

    /// Reads `true` or `false`; also `1`, `t`, `yes`, `y`, `on` and their opposites, in any case.
    pub fn flag(&mut self, name: &'static str, description: &'static str, default: bool) -> bool {
        self.declare(name, description, Some(default.to_string()));
        self.parse(name, parse_flag).unwrap_or(default)
    }

    /// Reads an integer within a range.
    pub fn integer<T>(
        &mut self,
        name: &'static str,
        description: &'static str,
        range: RangeInclusive<T>,
        default: T,
    ) -> T
    where
        T: FromStr + Display + PartialOrd,
    {
        self.declare(name, description, Some(default.to_string()));
        self.parse(name, |text| parse_integer(text, &range)).unwrap_or(default)
    }

    /// Reads a duration in whole seconds within a range.
    pub fn seconds(
        &mut self,
        name: &'static str,
        description: &'static str,
        range: RangeInclusive<u64>,
        default: Duration,
    ) -> Duration {
        Duration::from_secs(self.integer(name, description, range, default.as_secs()))
    }

    /// Reads a duration in whole milliseconds within a range.
    pub fn millis(
        &mut self,
        name: &'static str,
        description: &'static str,
        range: RangeInclusive<u64>,
        default: Duration,
    ) -> Duration {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.integer(name, description, range, default))
    }

    /// Reports a rule that a variable breaks together with others, such as `may not be set beside
    /// CMK_ARN`.
    pub fn reject(&mut self, name: &str, reason: impl Display) {
        self.problems.push(format!("{name} {reason}"));
    }

    fn declare(&mut self, name: &'static str, description: &'static str, default: Option<String>) {
        self.declared.push(Variable { name, description, default, is_required: false });
    }

    fn declare_required(&mut self, name: &'static str, description: &'static str) {
        self.declared.push(Variable { name, description, default: None, is_required: true });
        if self.value(name).is_none() {
            self.reject(name, format_args!("is not set ({description})"));
        }
    }

    fn parse<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.value(name)?;
        let Some(text) = value.to_str() else {
            self.reject(name, "is not UTF-8");
            return None;
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.reject(name, format_args!("is {}: {reason}", Quoted(text)));
                None
            }
        }
    }

    fn value(&self, name: &str) -> Option<OsString> {
        let value = match &self.source {
            Source::Process => env::var_os(name),
            Source::Pairs(pairs) => pairs.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }
}

fn parse_list<T: FromStr<Err: Display>>(text: &str) -> Result<Vec<T>, String> {
    let parse = |element: &str| match element.trim() {
        "" => Err("expected a list separated by single commas".to_owned()),
        element => element.parse().map_err(|reason| format!("{}: {reason}", Quoted(element))),
    };
    text.split(',').map(parse).collect()
}

fn parse_flag(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "t" | "yes" | "y" | "on" => Ok(true),
        "false" | "0" | "f" | "no" | "n" | "off" => Ok(false),
        _ => Err("expected true or false"),
    }
}

fn parse_integer<T>(text: &str, range: &RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + Display + PartialOrd,
{
    let expected = || format!("expected an integer from {} to {}", range.start(), range.end());
    text.parse().ok().filter(|value| range.contains(value)).ok_or_else(expected)
}

/// A value in quotes, cut off if it is long.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MAX_QUOTED) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    /// Reads one variable, called NAME, with a value.
    fn read<T>(
        value: &str,
        read: impl FnOnce(&mut Variables) -> Option<T>,
    ) -> Result<T, InvalidVariables> {
        Variables::from_pairs([("NAME", value)]).read(read)
    }

    fn problem<T: fmt::Debug>(
        value: &str,
        get: impl FnOnce(&mut Variables) -> Option<T>,
    ) -> String {
        let error = read(value, get).expect_err(value).to_string();
        error.strip_prefix("invalid environment variables: ").expect(&error).to_owned()
    }

    #[test]
    fn a_good_value_is_read() {
        assert_eq!(read("127.0.0.1", |v| v.required("NAME", "")), Ok(Ipv4Addr::LOCALHOST));
        assert_eq!(read("5", |v| Some(v.optional("NAME", ""))), Ok(Some(5_u8)));
        assert_eq!(read("5", |v| Some(v.or("NAME", "", 3_u8))), Ok(5));
        assert_eq!(read("1, 2,3", |v| v.required_list("NAME", "")), Ok(vec![1_u8, 2, 3]));
        assert_eq!(read("1", |v| Some(v.list("NAME", ""))), Ok(vec![1_u8]));
        assert_eq!(read("9", |v| Some(v.integer("NAME", "", 1..=9_u64, 3))), Ok(9));
        let default = Duration::from_secs(1);
        let seconds = |v: &mut Variables| Some(v.seconds("NAME", "", 0..=9, default));
        assert_eq!(read("9", seconds), Ok(Duration::from_secs(9)));
        let millis = |v: &mut Variables| Some(v.millis("NAME", "", 0..=9, default));
        assert_eq!(read("9", millis), Ok(Duration::from_millis(9)));
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        for variables in
            [|| Variables::from_pairs([("NAME", "")]), || Variables::from_pairs([("OTHER", "x")])]
        {
            let get = |variables: &mut Variables| {
                let optional = variables.optional::<u8>("NAME", "");
                let list = variables.list::<u8>("NAME", "");
                let (or, flag) = (variables.or("NAME", "", 3_u8), variables.flag("NAME", "", true));
                let seconds = variables.seconds("NAME", "", 1..=9, Duration::from_secs(7));
                Some((optional, list, or, flag, seconds))
            };
            let unset = (None, Vec::new(), 3, true, Duration::from_secs(7));
            assert_eq!(variables().read(get), Ok(unset));
            for problem in [
                variables().read(|v| v.required::<u8>("NAME", "A number")).unwrap_err(),
                variables().read(|v| v.required_list::<u8>("NAME", "A number")).unwrap_err(),
            ] {
                let expected = "invalid environment variables: NAME is not set (A number)";
                assert_eq!(problem.to_string(), expected);
            }
        }
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_allowed() {
        let bad_address = problem("x", |v| v.required::<Ipv4Addr>("NAME", ""));
        assert_eq!(bad_address, r#"NAME is "x": invalid IPv4 address syntax"#);
        assert_eq!(problem("x", |v| Some(v.optional::<Ipv4Addr>("NAME", ""))), bad_address);
        assert_eq!(
            problem("x", |v| Some(v.or("NAME", "", Ipv4Addr::LOCALHOST))),
            bad_address,
            "a default does not hide a bad value"
        );
        let bad_list = |text| problem(text, |v| v.required_list::<Ipv4Addr>("NAME", ""));
        assert!(bad_list("127.0.0.1,x").ends_with(r#""x": invalid IPv4 address syntax"#));
        assert!(bad_list("127.0.0.1,").ends_with("expected a list separated by single commas"));
        for text in ["0", "10", "-1", "x", "1.5", "99999999999999999999999"] {
            let integer = problem(text, |v| Some(v.integer("NAME", "", 1..=9_u8, 3)));
            let expected = format!("NAME is {text:?}: expected an integer from 1 to 9");
            assert_eq!(integer, expected);
            let millis = |v: &mut Variables| Some(v.millis("NAME", "", 1..=9, Duration::ZERO));
            assert_eq!(problem(text, millis), expected);
        }
    }

    #[test]
    fn switches_are_read_in_the_usual_spellings() {
        for (text, expected) in [
            ("true", true),
            ("1", true),
            ("T", true),
            ("YES", true),
            ("on", true),
            ("false", false),
            ("0", false),
            ("False", false),
            ("n", false),
            ("off", false),
        ] {
            assert_eq!(read(text, |v| Some(v.flag("NAME", "", !expected))), Ok(expected), "{text}");
        }
        let error = problem("maybe", |v| Some(v.flag("NAME", "", true)));
        assert_eq!(error, r#"NAME is "maybe": expected true or false"#);
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let variables = Variables::from_pairs([("A", "x"), ("C", "5"), ("E", "1")]);
        let error = variables.read(|variables| {
            let (a, b) = (variables.required::<u8>("A", ""), variables.required::<u8>("B", "b"));
            let c = variables.integer("C", "", 1..=3_u8, 1);
            variables.reject("E", "may not be set beside A");
            Some((a?, b?, c))
        });
        let error = error.unwrap_err();
        assert_eq!(
            format!("{error:?}"),
            "invalid environment variables: A is \"x\": invalid digit found in string; \
             B is not set (b); C is \"5\": expected an integer from 1 to 3; \
             E may not be set beside A"
        );
    }

    #[test]
    fn a_long_value_is_cut_off_and_an_unreadable_one_is_not_shown() {
        let error = problem(&"é".repeat(1000), |v| v.required::<u8>("NAME", ""));
        assert!(
            error.starts_with(&format!("NAME is \"{}\"…: ", "é".repeat(MAX_QUOTED))),
            "{error}"
        );
        let bytes = OsString::from_vec(vec![b'a', 0xff]);
        let variables = Variables::from_pairs([("NAME", bytes)]);
        let error = variables.read(|v| v.required::<String>("NAME", "")).unwrap_err();
        assert_eq!(error.to_string(), "invalid environment variables: NAME is not UTF-8");
    }

    #[test]
    fn a_parser_of_its_own_reads_a_value() {
        let parse =
            |text: &str| text.strip_suffix('m').ok_or("expected minutes").map(str::to_owned);
        let get = |v: &mut Variables| v.optional_with("NAME", "", parse);
        assert_eq!(read("5m", get), Ok("5".to_owned()));
        assert_eq!(problem("5", get), r#"NAME is "5": expected minutes"#);
    }

    #[test]
    fn declared_variables_are_listed() {
        let mut variables = Variables::from_pairs([("A", "x")]);
        variables.required::<String>("A", "first");
        variables.seconds("B", "second", 1..=9, Duration::from_secs(7));
        variables.list::<String>("C", "third");
        let listed: Vec<_> = variables
            .declared()
            .iter()
            .map(|variable| {
                let Variable { name, description, default, is_required } = variable;
                (*name, *description, default.as_deref(), *is_required)
            })
            .collect();
        assert_eq!(
            listed,
            [
                ("A", "first", None, true),
                ("B", "second", Some("7"), false),
                ("C", "third", None, false)
            ]
        );
    }
}
