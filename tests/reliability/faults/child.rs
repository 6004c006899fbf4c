//! The child's half: runs the repetitions that it is told to, and says on its standard error what it
//! does and what became of each.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::KINDS;

/// The variable that names a kind, the first repetition and the one behind the last.
pub(super) const ORDER: &str = "WGNORM_FAULT";

/// What the parent is told, a line each.
#[derive(Debug)]
pub(super) enum Word {
    /// An operation begins that may not take long.
    In(String),
    /// It is over.
    Out,
    /// A repetition ended as it should.
    Fine,
    /// It saw something wrong.
    Wrong(String),
    /// The library or what lies below it panicked, also where somebody caught that.
    Panic(String),
}

impl Word {
    fn say(&self) {
        let (word, what) = match self {
            Self::In(name) => ("in", name.as_str()),
            Self::Out => ("out", ""),
            Self::Fine => ("fine", ""),
            Self::Wrong(what) => ("wrong", what.as_str()),
            Self::Panic(what) => ("panic", what.as_str()),
        };
        eprintln!("@{word} {}", what.replace('\n', " / "));
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let (word, what) = line.strip_prefix('@')?.split_once(' ')?;
        let what = what.to_owned();
        match word {
            "in" => Some(Self::In(what)),
            "out" => Some(Self::Out),
            "fine" => Some(Self::Fine),
            "wrong" => Some(Self::Wrong(what)),
            "panic" => Some(Self::Panic(what)),
            _ => None,
        }
    }
}

/// Does something under the parent's clock.
pub(super) fn quickly<T>(name: &str, operation: impl FnOnce() -> T) -> T {
    Word::In(name.to_owned()).say();
    let result = operation();
    Word::Out.say();
    result
}

/// The panics of a repetition: whether each was an assertion of the tests, and what it said.
static PANICS: Mutex<Vec<(bool, String)>> = Mutex::new(Vec::new());

/// Threads that are meant to panic resume an unwinding, which calls no hook.
fn note(info: &PanicHookInfo<'_>) {
    let file = info.location().map_or("", |location| location.file());
    let ours = Path::new(file).starts_with("tests");
    let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    panics.push((ours, info.to_string()));
}

fn noted() -> Vec<(bool, String)> {
    std::mem::take(&mut PANICS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Runs what the environment says. After anything but a fine run the process ends, since nobody
/// knows what it is worth then, and the parent starts another one.
pub(super) fn obey() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let mut parts = order.rsplitn(3, ':');
    let mut number = || parts.next().unwrap().parse::<u64>().unwrap();
    let (end, first) = (number(), number());
    let kind = parts.next().unwrap();
    let fault = KINDS.iter().find(|(name, _)| *name == kind).unwrap().1;
    panic::set_hook(Box::new(note));
    for repetition in first..end {
        let result = panic::catch_unwind(AssertUnwindSafe(|| fault(repetition)));
        let noted = noted();
        let word = match noted.iter().find(|(ours, _)| !ours).or(noted.first()) {
            Some((true, what)) => Word::Wrong(what.clone()),
            Some((false, what)) => Word::Panic(what.clone()),
            None if result.is_err() => Word::Panic("without a word".to_owned()),
            None => Word::Fine,
        };
        word.say();
        if !matches!(word, Word::Fine) {
            std::process::exit(1);
        }
    }
}
