//! What libavcodec complains of, and whose stream it is about. It goes on after damage and paints over it; its log is the
//! only place where every version tells.
//!
//! A decoder without threads works on the thread that asks it, so what is said on that thread is about its stream. One
//! with threads of its own works on these; it carries a number, which the library copies to each of them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

type Words = &'static CStr;

thread_local! {
    /// What was complained of first on this thread since [`ComplaintEar::listen`].
    static HERE: Cell<Option<Words>> = const { Cell::new(None) };
}

/// What was complained of first about the stream of each decoder with threads.
static CREWS: Mutex<Crews> = Mutex::new(Crews { newest: FIRST - 1, heard: BTreeMap::new() });

/// Numbers begin here: far from what the library itself has where they are carried.
const FIRST: i64 = 1 << 20;

struct Crews {
    newest: i64,
    heard: BTreeMap<i64, Option<Words>>,
}

/// Hears what is complained of about one stream.
pub(super) enum ComplaintEar {
    /// On the thread that asks.
    Here,
    /// Of the decoder that carries this number, on any thread.
    Crew(i64),
}

impl ComplaintEar {
    /// For a decoder with threads of its own.
    pub(super) fn of_crew() -> Self {
        let mut crews = crews();
        // 2^31 decoders later they begin again; the first ones have ended by then.
        crews.newest = if crews.newest < i64::from(i32::MAX) { crews.newest + 1 } else { FIRST };
        let number = crews.newest;
        crews.heard.insert(number, None);
        Self::Crew(number)
    }

    /// Listens from now on. What a decoder with threads is said to have met before still counts: a thread may have said
    /// it while nobody asked.
    pub(super) fn listen(&self) {
        if matches!(self, Self::Here) {
            HERE.set(None);
        }
    }

    /// What was complained of first.
    pub(super) fn heard(&self) -> Option<Words> {
        match self {
            Self::Here => HERE.take(),
            Self::Crew(number) => crews().heard.get(number).copied().flatten(),
        }
    }
}

impl Drop for ComplaintEar {
    fn drop(&mut self) {
        if let Self::Crew(number) = self {
            crews().heard.remove(number);
        }
    }
}

/// Takes note of a complaint, made on this thread about the stream of the decoder that carries `number`. What nobody
/// is named for concerns every decoder with threads: it costs them a second look, and damage is never missed.
pub(super) fn complain(words: Words, number: Option<i64>) {
    HERE.set(HERE.get().or(Some(words)));
    let mut crews = crews();
    match number {
        Some(number) => {
            if let Some(heard) = crews.heard.get_mut(&number) {
                heard.get_or_insert(words);
            }
        }
        None => crews.heard.values_mut().for_each(|heard| _ = heard.get_or_insert(words)),
    }
}

fn crews() -> MutexGuard<'static, Crews> {
    CREWS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hears_of_its_own_stream_on_whichever_thread() {
        let (one, other, here) = (ComplaintEar::of_crew(), ComplaintEar::of_crew(), ComplaintEar::Here);
        let ComplaintEar::Crew(number) = one else { panic!("it has a number") };
        [&one, &other, &here].iter().for_each(|ear| ear.listen());
        std::thread::spawn(move || {
            complain(c"torn", Some(number));
            complain(c"worse", Some(number));
        })
        .join()
        .unwrap();
        one.listen();
        assert_eq!((one.heard(), other.heard(), here.heard()), (Some(c"torn"), None, None));
        // 12 is what a decoder without a number has there.
        complain(c"grey", Some(12));
        assert_eq!((other.heard(), here.heard(), here.heard()), (None, Some(c"grey"), None));
    }
}
