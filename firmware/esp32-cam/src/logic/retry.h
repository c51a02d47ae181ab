// What an answer means and what follows from it: stored, tried again after a pause, or given up. Pure.
#pragma once

#include <cstdint>

#include "failure.h"

namespace cam {

/// What came of one attempt.
struct Outcome {
  /// Whether the head of an answer came whole. Without one the picture may be stored or not: the next attempt carries
  /// the same key, so it is one picture there in both cases.
  bool is_answered = false;
  uint16_t status = 0;
  /// `Retry-After` in seconds; 0: not said, or a date, which a board without a clock cannot read.
  uint32_t retry_after_s = 0;
  /// 200 whose body says `"success": false`.
  bool says_no = false;
  /// 200 that is a page for people: the log-in page of a guest network, not the receiver.
  bool is_page = false;
};

enum class Step : uint8_t { Stored, Again, GiveUp };

struct Decision {
  Step step = Step::GiveUp;
  Failure failure = Failure::None;
  /// Before the next attempt.
  uint32_t wait_ms = 0;
};

/// How long one picture is worth trying.
struct Patience {
  uint32_t attempts_max;
  /// From the first attempt until the last begins.
  uint32_t elapsed_max_ms;
};

/// A board that is always on waits out a restart of the server, and other pictures wait meanwhile.
constexpr Patience PATIENCE_AWAKE{10, 10 * 60 * 1000};
/// A battery bears a minute with the radio on.
constexpr Patience PATIENCE_BETWEEN_SLEEPS{4, 60 * 1000};

constexpr uint32_t BACKOFF_FIRST_MS = 1000;
constexpr uint32_t BACKOFF_MAX_MS = 60 * 1000;
/// No server may keep a board waiting longer, whatever it says.
constexpr uint32_t RETRY_AFTER_MAX_MS = 5 * 60 * 1000;

/// Half of the step is certain and half is chance, so that boards that failed together do not come back together.
uint32_t backoff_ms(uint32_t attempts, uint32_t random);

/// `attempts` includes the one that `outcome` is of; `elapsed_ms` is since the first began.
Decision decide(const Outcome& outcome, uint32_t attempts, uint32_t elapsed_ms, uint32_t random,
                const Patience& patience);

}  // namespace cam
