#include "lamp.h"

namespace cam {

namespace {

constexpr uint32_t SPARK_MS = 60;
constexpr uint32_t LONG_MS = 1200;
/// From one short one to the next, half of it lit.
constexpr uint32_t SHORT_MS = 500;

}  // namespace

bool is_lit(Signal signal, Failure failure, uint32_t elapsed_ms) {
  switch (signal) {
    case Signal::Starting:
    case Signal::Working: return true;
    case Signal::NoWifi: return elapsed_ms % 200 < 100;
    case Signal::Ready: return elapsed_ms % 4000 < SPARK_MS;
    case Signal::Again: {
      const uint32_t at = elapsed_ms % 2000;
      return at < SPARK_MS || (at >= 250 && at < 250 + SPARK_MS);
    }
    case Signal::Stored: return elapsed_ms < STORED_MS;
    case Signal::Failed: {
      const uint32_t at = elapsed_ms % FAILED_ONCE_MS;
      if (at < LONG_MS) return true;
      const uint32_t shorts = static_cast<uint32_t>(failure);
      const uint32_t after = at - LONG_MS;
      return after / SHORT_MS < shorts && after % SHORT_MS >= SHORT_MS / 2;
    }
  }
  return false;
}

void Lamp::show(Signal signal, Failure failure, uint32_t now_ms) {
  if (signal == Signal::Failed) {
    failure_ = failure;
    failed_ms_ = now_ms;
  }
  signal_ = signal == Signal::Failed ? Signal::Ready : signal;
  since_ms_ = now_ms;
}

bool Lamp::is_lit(uint32_t now_ms, bool has_wifi) {
  if (signal_ == Signal::Stored && now_ms - since_ms_ >= STORED_MS) show(Signal::Ready, Failure::None, now_ms);
  const uint32_t elapsed = now_ms - since_ms_;
  if (signal_ != Signal::Ready) return cam::is_lit(signal_, Failure::None, elapsed);
  if (now_ms - failed_ms_ >= FAILED_MS) failure_ = Failure::None;
  if (failure_ != Failure::None) return cam::is_lit(Signal::Failed, failure_, elapsed);
  return cam::is_lit(has_wifi ? Signal::Ready : Signal::NoWifi, Failure::None, elapsed);
}

}  // namespace cam
