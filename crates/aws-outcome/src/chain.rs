use std::error::Error;
use std::io;
use std::iter::successors;

/// An error and everything that caused it, outermost first.
///
/// The SDK's connector and credentials providers say what happened only in the sources of their
/// errors, and many of those have private types. Then the text is all there is. Texts are searched
/// and never shown, because they may hold a path, an answer's body or a process's output.
pub(crate) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |error| (*error).source())
}

/// The texts of a chain, one line each.
pub(crate) fn texts(error: &(dyn Error + 'static)) -> String {
    chain(error).map(|error| format!("{error}\n")).collect()
}

/// The kind of the innermost I/O error that says more than that it is another kind.
pub(crate) fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let kinds = chain(error).filter_map(|error| Some(error.downcast_ref::<io::Error>()?.kind()));
    kinds.filter(|kind| *kind != io::ErrorKind::Other).last()
}
