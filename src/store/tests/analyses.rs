//! Analyses and readings: owed with the picture, settled once, found by their text, gone with the picture.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::testing::{OWED, Place, T0, camera, claim, picture, take, trigger};
use super::*;
use crate::model::{Cause, FileName, ImageId, ImageKind, PlateText, TextBox, TextRead, UnixMs, UploadFault};

const HOUR: i64 = 3_600_000;

fn read(text: &str, score: f64) -> NewReading {
    let place = Some(TextBox { xmin: 1, ymin: 2, xmax: 30, ymax: 14 });
    let read = TextRead { text: text.to_owned(), score: Some(score), place };
    NewReading { read, is_unsure: score < 0.8, watched: None }
}

fn answered(texts: &[&str]) -> AnalysisOutcome {
    let readings = texts.iter().map(|text| read(text, 0.9)).collect();
    AnalysisOutcome::Read { readings, answer: "{\"results\":[]}".to_owned(), at: UnixMs(T0) }
}

fn analysing(place: &Place) -> Store {
    place.open().analysing(&[Cause::Gpio])
}

async fn next(store: &Store, now: i64) -> Option<DueAnalysis> {
    store.analyses().claim(UnixMs(now)).await.unwrap()
}

/// Takes a picture in which these texts are read.
async fn seen(store: &Store, second: i64, texts: &[&str]) -> FileName {
    let image = take(store, "r1", T0 + second * 1000).await;
    let due = next(store, i64::MAX).await.unwrap();
    assert_eq!(due.picture.filename, image.filename, "the newest goes first");
    store.analyses().settle(&due, answered(texts), Vec::new(), None).await.unwrap();
    image.filename
}

async fn analysis(store: &Store, name: &FileName) -> Option<Analysis> {
    store.image(name).await.unwrap().unwrap().analysis
}

async fn found(store: &Store, query: ImageQuery) -> Vec<String> {
    let (mut names, mut query) = (Vec::new(), query);
    loop {
        let page = store.images(query.clone()).await.unwrap();
        names.extend(page.items.iter().map(|image| image.filename.to_string()));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return names,
        }
    }
}

fn of_text(text: &str, limit: u32) -> ImageQuery {
    ImageQuery { text: PlateText::parse(text), limit, ..ImageQuery::default() }
}

#[tokio::test]
async fn an_analysis_is_owed_in_the_transaction_of_the_picture_and_survives_a_restart() {
    let place = Place::new();
    let store = analysing(&place);
    let image = take(&store, "r1", T0).await;
    drop(store);
    let store = analysing(&place);
    let state = |analysis: Option<Analysis>| analysis.map(|it| (it.state, it.attempts));
    assert_eq!(state(analysis(&store, &image.filename).await), Some((AnalysisState::Pending, 0)));
    assert_eq!(next(&store, T0).await.unwrap().picture.filename, image.filename);
}

#[tokio::test]
async fn only_pictures_of_the_wanted_causes_and_of_the_instant_are_owed() {
    let place = Place::new();
    let store = place.open().analysing(&[Cause::Gpio]);
    for (second, cause, kind) in [(0, Cause::Manual, ImageKind::Instant), (1, Cause::Gpio, ImageKind::Best)] {
        let trigger = crate::model::Trigger { cause, ..trigger("r1", T0 + second * 1000) };
        let row = store.begin_trigger(&trigger).await.unwrap();
        let mut new = picture(&trigger, row, ImageId::random(), 0);
        new.facts.kind = kind;
        let image = store.record(new).await.unwrap();
        assert_eq!(image.analysis, None, "{cause:?} {kind:?}");
        // Whoever wishes it has it all the same.
        let wished = store.analyse(&image.filename).await.unwrap().unwrap();
        assert_eq!(wished.analysis.unwrap().state, AnalysisState::Pending);
    }
    let off = Place::new();
    let store = off.open_owing(OWED);
    assert_eq!(take(&store, "r1", T0).await.analysis, None, "without a server nothing is owed");
}

#[tokio::test]
async fn what_was_read_is_kept_with_the_picture_and_carried_by_deliveries_after_it() {
    let place = Place::new();
    let store = analysing(&place);
    let before = take(&store, "r1", T0).await;
    assert!(claim(&store, 1).await[0].readings.is_empty());
    let due = next(&store, T0).await.unwrap();
    store
        .analyses()
        .settle(&due, answered(&["ab 12", "x", "AB-12"]), Vec::new(), Some(UnixMs(T0)))
        .await
        .unwrap();
    let told = analysis(&store, &before.filename).await.unwrap();
    assert_eq!((told.state, told.attempts, told.done_at), (AnalysisState::Done, 1, Some(UnixMs(T0))));
    let texts: Vec<_> = told.readings.iter().map(|reading| reading.read.text.as_str()).collect();
    assert_eq!(texts, ["ab 12", "x"], "the same text twice is one");
    assert_eq!(told.readings[0].read, read("ab 12", 0.9).read);
    assert_eq!(claim(&store, 1).await[0].readings, told.readings);
    assert_eq!(store.analysis_answer(&before.filename).await.unwrap().as_deref(), Some("{\"results\":[]}"));
    assert!(next(&store, i64::MAX).await.is_none(), "it is not asked again");
}

#[tokio::test]
async fn what_failed_waits_counts_and_is_put_aside_until_somebody_asks_for_it() {
    let place = Place::new();
    let store = analysing(&place);
    let image = take(&store, "r1", T0).await;
    let queue = store.analyses();
    let error = UploadFault::AnswerCut;
    let fail = async |settlement| {
        let due = next(&store, i64::MAX).await.unwrap();
        queue.settle(&due, AnalysisOutcome::Failed(settlement), Vec::new(), None).await.unwrap();
    };
    fail(Settlement::Refused { not_before: UnixMs(T0 + 5), error: error.clone() }).await;
    assert!(next(&store, T0 + 4).await.is_none());
    assert_eq!(queue.next_due(UnixMs(T0)).await.unwrap(), Some(UnixMs(T0 + 5)));
    let due = next(&store, T0 + 5).await.unwrap();
    assert_eq!((due.attempts, due.refusals), (1, 1));
    fail(Settlement::Dead { error: error.clone() }).await;
    assert!(next(&store, i64::MAX).await.is_none());
    let told = analysis(&store, &image.filename).await.unwrap();
    assert_eq!((told.state, told.attempts, told.last_error), (AnalysisState::Dead, 2, Some(error)));
    let dead = store.dead_analyses(10).await.unwrap();
    assert_eq!(dead.iter().map(|image| &image.filename).collect::<Vec<_>>(), [&image.filename]);
    assert_eq!(store.retry_analyses().await.unwrap(), 1);
    assert_eq!(next(&store, T0).await.unwrap().attempts, 0);
    assert_eq!(store.retry_analyses().await.unwrap(), 0);
    fail(Settlement::Retry { not_before: UnixMs(T0 + HOUR), error: UploadFault::AnswerCut }).await;
    queue.end_waits(UnixMs(T0)).await.unwrap();
    assert!(next(&store, T0).await.is_some(), "a wait that a clock set back made too long ends");
}

#[tokio::test]
async fn a_correction_is_kept_beside_what_was_read_and_outlives_the_next_answer() {
    let place = Place::new();
    let store = analysing(&place);
    let name = seen(&store, 0, &["A812", "noise"]).await;
    let readings = analysis(&store, &name).await.unwrap().readings;
    let correct = async |reading: i64, text: &str| {
        let (text, by) = (text.to_owned(), "10.0.0.5".to_owned());
        let correction = TextCorrection { text, by, at: UnixMs(T0), watched: Some("AB12".to_owned()) };
        store.correct_reading(&name, reading, correction).await.unwrap()
    };
    let image = correct(readings[0].id, "ab-12").await.unwrap();
    let corrected = &image.analysis.unwrap().readings[0];
    assert_eq!((corrected.read.text.as_str(), corrected.corrected.as_deref()), ("A812", Some("ab-12")));
    assert_eq!((corrected.checked_by.as_deref(), corrected.is_unsure), (Some("10.0.0.5"), false));
    assert_eq!(corrected.watched.as_deref(), Some("AB12"));
    assert_eq!(found(&store, of_text("AB12", 9)).await, [name.to_string()]);
    correct(readings[1].id, "").await.unwrap();
    assert!(found(&store, of_text("noise", 9)).await.is_empty(), "what is no text is not found");
    assert!(correct(12345, "x").await.is_none());

    store.analyse(&name).await.unwrap();
    let due = next(&store, T0).await.unwrap();
    store.analyses().settle(&due, answered(&["A812", "NOISE", "CD34"]), Vec::new(), None).await.unwrap();
    let texts: BTreeSet<_> =
        analysis(&store, &name).await.unwrap().readings.iter().map(|it| it.text().to_owned()).collect();
    assert_eq!(texts, BTreeSet::from([String::new(), "CD34".to_owned(), "ab-12".to_owned()]));
}

#[tokio::test]
async fn a_text_is_found_exactly_by_its_beginning_and_by_near_misses_in_pages() {
    let place = Place::new();
    let store = analysing(&place);
    let mut all = Vec::new();
    for (second, text) in
        ["AB12CD", "A812CD", "AB12CD7", "AB12C", "XY99ZZ", "AB12XX", "ab 12 cd"].iter().enumerate()
    {
        all.push(seen(&store, second as i64, &[text, "other"]).await.to_string());
    }
    let expected: Vec<_> = [6, 3, 2, 1, 0].map(|at: usize| all[at].clone()).into();
    assert_eq!(found(&store, of_text("ab12cd", 9)).await, expected);
    assert_eq!(found(&store, of_text("ab12cd", 2)).await, expected, "in pages, each once");
    let later =
        ImageQuery { from: Some(UnixMs(T0 + 2000)), to: Some(UnixMs(T0 + 6000)), ..of_text("AB12CD", 9) };
    assert_eq!(found(&store, later).await, expected[1..3]);
    let owed = ImageQuery { state: Some(crate::model::UploadState::Pending), ..of_text("XY99ZZ", 9) };
    assert_eq!(found(&store, owed).await.len(), 1);
    for none in [
        ImageQuery { camera: Some(camera("r2")), ..of_text("XY99ZZ", 9) },
        ImageQuery { state: Some(crate::model::UploadState::Dead), ..of_text("XY99ZZ", 9) },
        ImageQuery { medium: Some(crate::model::Medium::Mp4), ..of_text("XY99ZZ", 9) },
    ] {
        assert!(found(&store, none).await.is_empty());
    }
    assert_eq!(found(&store, of_text("XY", 9)).await.len(), 1);
}

#[tokio::test]
async fn what_was_read_goes_with_the_picture_and_so_does_a_question_that_waits() {
    let place = Place::new();
    let store = analysing(&place);
    let (gone, kept) = (seen(&store, 0, &["AB12CD"]).await, seen(&store, 1, &["AB12CD", "XY99ZZ"]).await);
    let waiting = take(&store, "r1", T0 + 2000).await;
    for name in [&gone, &waiting.filename] {
        assert_eq!(store.delete_image(name, true).await.unwrap(), Deletion::Deleted);
    }
    assert!(next(&store, i64::MAX).await.is_none());
    assert_eq!(found(&store, of_text("AB12CD", 9)).await, [kept.to_string()]);
    store.delete_image(&kept, true).await.unwrap();
    let left = |table: &str| -> i64 {
        place.sql().query_row(&format!("select count(*) from {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((left("readings"), left("reading_keys"), left("analyses")), (0, 0, 0));
}

#[tokio::test]
async fn questions_are_counted_by_day_and_month_and_over_a_restart() {
    let place = Place::new();
    let store = analysing(&place);
    let queue = store.analyses();
    // 2027-01-15.
    for at in [T0, T0 + HOUR, T0 + 24 * HOUR, T0 + 20 * 24 * HOUR] {
        queue.spend(UnixMs(at)).await.unwrap();
    }
    drop((store, queue));
    let spent = async |at| analysing(&place).analyses().spent(UnixMs(at)).await.unwrap();
    assert_eq!(spent(T0).await, Spending { day: 2, month: 3 });
    assert_eq!(spent(T0 + 20 * 24 * HOUR).await, Spending { day: 1, month: 1 });
    assert_eq!(spent(T0 + 60 * 24 * HOUR).await, Spending::default());
}

#[tokio::test]
async fn a_list_of_what_a_person_has_to_look_at_ends_when_somebody_did() {
    let place = Place::new();
    let store = analysing(&place);
    let image = take(&store, "r1", T0).await;
    let due = next(&store, T0).await.unwrap();
    let readings = vec![read("AB12", 0.3), read("CD34", 0.95)];
    let outcome = AnalysisOutcome::Read { readings, answer: String::new(), at: UnixMs(T0) };
    store.analyses().settle(&due, outcome, Vec::new(), None).await.unwrap();
    let unsure = store.unsure_readings(5).await.unwrap();
    assert_eq!(unsure.len(), 1);
    assert_eq!(store.analysis_counts().await.unwrap().unsure, 1);
    let reading = unsure[0].analysis.as_ref().unwrap().readings.iter().find(|it| it.is_unsure).unwrap();
    assert_eq!(reading.read.text, "AB12");
    let correction =
        TextCorrection { text: "AB12".to_owned(), by: "x".to_owned(), at: UnixMs(T0), watched: None };
    store.correct_reading(&image.filename, reading.id, correction).await.unwrap().unwrap();
    assert!(store.unsure_readings(5).await.unwrap().is_empty());
    assert_eq!(store.analysis_counts().await.unwrap().unsure, 0);
}

#[tokio::test]
async fn a_watched_text_is_news_until_it_is_seen_checked_or_gone_and_old_ones_are_none() {
    let place = Place::new();
    let store = analysing(&place);
    let mut names = Vec::new();
    for (second, text) in [(0, "AB12"), (1, "A812"), (2, "AB12"), (3, "XY99")] {
        let image = take(&store, "r1", T0 + second * 1000).await;
        let due = next(&store, i64::MAX).await.unwrap();
        let watched = (text != "XY99").then(|| "AB12".to_owned());
        let readings = vec![NewReading { watched, ..read(text, 0.9) }];
        let outcome = AnalysisOutcome::Read { readings, answer: String::new(), at: UnixMs(T0) };
        store.analyses().settle(&due, outcome, Vec::new(), None).await.unwrap();
        names.push(image.filename);
    }
    let news = async || store.watched_news().await.unwrap();
    let listed = async || {
        let images = store.watched_images(9).await.unwrap();
        images.into_iter().map(|image| image.filename).collect::<Vec<_>>()
    };
    let (all, newest) = (news().await, news().await.newest.unwrap());
    assert_eq!((all.count, &newest.filename, newest.camera.as_str()), (3, &names[2], "r1"));
    assert_eq!((newest.watched.as_str(), newest.taken_at), ("AB12", UnixMs(T0 + 2000)));
    assert_eq!(listed().await, [names[2].clone(), names[1].clone(), names[0].clone()]);
    // Checked by a person, who has seen it then.
    let correction = TextCorrection {
        text: "AB12".to_owned(),
        by: "x".to_owned(),
        at: UnixMs(T0),
        watched: Some("AB12".to_owned()),
    };
    store.correct_reading(&names[2], newest.reading, correction).await.unwrap().unwrap();
    assert_eq!(news().await.newest.unwrap().read, "A812");
    assert!(matches!(store.delete_image(&names[1], true).await.unwrap(), Deletion::Deleted));
    let last = news().await;
    assert_eq!((last.count, listed().await), (1, vec![names[0].clone()]));
    let up_to = last.newest.unwrap().reading;
    assert_eq!(store.see_watched(up_to - 1, UnixMs(T0)).await.unwrap(), 0, "it was not shown");
    assert_eq!(store.see_watched(up_to, UnixMs(T0)).await.unwrap(), 1);
    assert_eq!(news().await, WatchedNews::default());
    assert_eq!(store.see_watched(i64::MAX, UnixMs(T0)).await.unwrap(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_search_finds_exactly_what_agrees(
        texts in prop::collection::vec("[AB0O18]{3,6}", 1..8),
        wanted in "[AB0O18]{2,6}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let store = analysing(&place);
            let mut names = Vec::new();
            for (second, text) in texts.iter().enumerate() {
                names.push(seen(&store, second as i64, &[text]).await.to_string());
            }
            let query = PlateText::parse(&wanted).unwrap();
            let agrees = |text: &String| query.matches(&PlateText::parse(text).unwrap());
            let mut expected: Vec<_> =
                texts.iter().zip(&names).filter(|(text, _)| agrees(text).is_some()).map(|(_, name)| name.clone()).collect();
            expected.reverse();
            assert_eq!(found(&store, of_text(&wanted, 3)).await, expected);
        });
    }
}
