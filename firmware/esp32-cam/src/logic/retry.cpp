#include "retry.h"

namespace cam {

namespace {

uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }
uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

/// What it means if it is the last word.
Failure meaning(const Outcome& outcome) {
  if (!outcome.is_answered) return Failure::NoAnswer;
  switch (outcome.status) {
    case 401:
    case 403: return Failure::Token;
    case 413: return Failure::TooLarge;
    case 415:
    case 422: return Failure::Picture;
    case 408:
    case 429: return Failure::Busy;
    default: break;
  }
  if (outcome.status == 200 && outcome.says_no) return Failure::Picture;
  return outcome.status >= 500 && outcome.status <= 599 ? Failure::Busy : Failure::Address;
}

}  // namespace

uint32_t backoff_ms(uint32_t attempts, uint32_t random) {
  uint32_t step = BACKOFF_FIRST_MS;
  for (uint32_t doubled = 1; doubled < attempts && step < BACKOFF_MAX_MS; doubled++) step *= 2;
  step = smaller(step, BACKOFF_MAX_MS);
  return step / 2 + random % (step / 2 + 1);
}

Decision decide(const Outcome& outcome, uint32_t attempts, uint32_t elapsed_ms, uint32_t random,
                const Patience& patience) {
  if (outcome.is_answered && outcome.status == 200 && !outcome.says_no && !outcome.is_page) {
    return {Step::Stored, Failure::None, 0};
  }
  const Failure failure = meaning(outcome);
  if (failure != Failure::NoAnswer && failure != Failure::Busy) return {Step::GiveUp, failure, 0};
  uint32_t wait = backoff_ms(attempts, random);
  if (outcome.retry_after_s > 0) {
    // Not before it was said, and not all boards in the same second after.
    const uint32_t most_s = RETRY_AFTER_MAX_MS / 1000;
    wait = larger(smaller(outcome.retry_after_s, most_s) * 1000 + random % 1000, wait);
  }
  if (attempts >= patience.attempts_max || elapsed_ms >= patience.elapsed_max_ms ||
      wait > patience.elapsed_max_ms - elapsed_ms) {
    return {Step::GiveUp, failure, 0};
  }
  return {Step::Again, failure, wait};
}

}  // namespace cam
