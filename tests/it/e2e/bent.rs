//! Cameras as people have them, each with an oddity of its own, before the real daemon: a picture of the very instant, a
//! note, or words that help. `BENT=word` runs those whose names have it.

use crate::support::bent::kinds::{
    DATAGRAMS, DESCRIPTIONS, KEEPALIVES, LOGINS, PACKETS, PICTURES, REFUSALS, TIMES, WORDS,
};
use crate::support::bent::trial::all_are_right;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_session_description_with_video_in_it_is_understood() {
    all_are_right("any_session_description_with_video_in_it_is_understood", DESCRIPTIONS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_password_is_let_in_and_a_wrong_one_named() {
    all_are_right("a_right_password_is_let_in_and_a_wrong_one_named", LOGINS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harmless_words_harm_no_session() {
    all_are_right("harmless_words_harm_no_session", WORDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_said_with_the_next_step() {
    all_are_right("a_refusal_is_said_with_the_next_step", REFUSALS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keepalive_that_goes_wrong_ends_no_session() {
    all_are_right("a_keepalive_that_goes_wrong_ends_no_session", KEEPALIVES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_odd_packet_costs_its_unit_and_no_session() {
    all_are_right("an_odd_packet_costs_its_unit_and_no_session", PACKETS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_are_put_in_order_wherever_they_come_from() {
    all_are_right("datagrams_are_put_in_order_wherever_they_come_from", DATAGRAMS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_instant_is_true_though_the_stamps_are_not() {
    all_are_right("the_instant_is_true_though_the_stamps_are_not", TIMES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_of_every_make_are_decoded_or_named() {
    all_are_right("pictures_of_every_make_are_decoded_or_named", PICTURES).await;
}
