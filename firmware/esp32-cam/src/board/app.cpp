#include "app.h"

#include <Arduino.h>
#include <esp_random.h>
#include <esp_timer.h>
#include <freertos/FreeRTOS.h>
#include <freertos/task.h>

#include <cinttypes>

#include "pins.h"
#include "sleep.h"

namespace cam {

namespace {

constexpr uint32_t PANEL_EVERY_MS = 5;
constexpr uint32_t PUSH_EVERY_MS = 20;
/// Fine enough for the lamp of a board that does nothing else.
constexpr uint32_t LAMP_EVERY_MS = 50;
/// Enough for a request's head, an answer and the TCP stack's calls.
constexpr uint32_t PUSH_STACK = 8192;
constexpr uint32_t PANEL_STACK = 3072;

}  // namespace

App::App(const Settings& settings)
    : settings_(settings),
      web_(settings_, camera_),
      period_(settings.upload_host[0] != '\0' ? settings.period_s : 0),
      outbox_(psramFound() ? Outbox::ROOM : 1) {}

void App::setup() {
  wake_up();
  Serial.begin(115200);
  pinMode(pins::LAMP, OUTPUT);
  digitalWrite(pins::LAMP, LOW);
  if (duty_of(settings_) == Duty::SleepBetween) take_push_and_sleep();

  begin_wifi(settings_);
  if (settings_.button_pin >= 0) pinMode(static_cast<uint8_t>(settings_.button_pin), INPUT_PULLUP);
  if (settings_.serves && !web_.begin()) Serial.println("the web server did not start: no memory for it");
  show(Signal::Ready);
  if (xTaskCreate(panel_forever, "panel", PANEL_STACK, this, tskIDLE_PRIORITY + 3, nullptr) != pdPASS ||
      xTaskCreate(push_forever, "push", PUSH_STACK, this, tskIDLE_PRIORITY + 1, nullptr) != pdPASS) {
    Serial.println("no memory for the tasks that feel the contact and push pictures");
  }
}

void App::loop() {
  if (period_.is_due(clock_.now_ms())) take(esp_timer_get_time());
  int64_t wanted_us = 0;
  if (next_press(wanted_us)) take(wanted_us);
  if (settings_.serves) web_.stream(clock_.now_ms());
  delay(PANEL_EVERY_MS);
}

void App::take_push_and_sleep() {
  // The picture first: it is of the instant that the period says, and the radio would take its current.
  const PictureId id = counter_.next();
  Picture picture = camera_.take(esp_timer_get_time());
  camera_.close();
  picture.id = id;
  Delivery delivery{false, Failure::Camera, 0};
  if (picture.bytes) {
    begin_wifi(settings_);
    delivery = deliver(connection_, clock_, esp_random, settings_, picture, TimeLimits{}, PATIENCE_BETWEEN_SLEEPS);
    end_wifi();
  }
  tell(id, delivery);
  if (!delivery.is_stored) {
    const uint32_t began = clock_.now_ms();
    while (clock_.now_ms() - began < FAILED_ONCE_MS) {
      update_panel();
      delay(LAMP_EVERY_MS);
    }
  }
  sleep_for(sleep_us(settings_.period_s, static_cast<uint64_t>(esp_timer_get_time() / 1000)));
}

void App::take(int64_t wanted_us) {
  const PictureId id = counter_.next();
  if (!outbox_.has_room()) return fail(id, Failure::Waiting);
  show(Signal::Working);
  Picture picture = camera_.take(wanted_us);
  if (!picture.bytes) return fail(id, Failure::Camera);
  picture.id = id;
  // Only this task puts pictures in, so there is still room.
  outbox_.put(picture);
}

void App::push_forever(void* app) {
  for (;;) {
    static_cast<App*>(app)->push();
    delay(PUSH_EVERY_MS);
  }
}

void App::push() {
  const Picture* picture = outbox_.first();
  if (picture == nullptr) return;
  show(Signal::Working);
  const Delivery delivery = deliver(connection_, clock_, esp_random, settings_, *picture, TimeLimits{}, PATIENCE_AWAKE,
                                    on_retry, this);
  const PictureId id = picture->id;
  outbox_.drop_first();
  tell(id, delivery);
}

void App::on_retry(void* context, const Decision& decision, uint32_t attempts) {
  App& app = *static_cast<App*>(context);
  app.show(Signal::Again);
  Serial.printf("attempt %" PRIu32 " failed, the next one in %" PRIu32 " ms: %s\n", attempts, decision.wait_ms,
                words(decision.failure));
}

void App::panel_forever(void* app) {
  for (;;) {
    static_cast<App*>(app)->update_panel();
    delay(PANEL_EVERY_MS);
  }
}

void App::update_panel() {
  const uint32_t now = clock_.now_ms();
  const bool is_pressed =
      settings_.button_pin >= 0 &&
      button_.update(digitalRead(static_cast<uint8_t>(settings_.button_pin)) == LOW, now);
  bool is_lost = false;
  bool is_lit = false;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    if (is_pressed && press_count_ < PRESSES_MAX) {
      // The instant is that at which the contact closed, not that at which it had settled.
      presses_[press_count_++] = esp_timer_get_time() - static_cast<int64_t>(now - button_.since_ms()) * 1000;
    } else if (is_pressed) {
      is_lost = true;
    }
    is_lit = lamp_.is_lit(now, has_wifi());
  }
  digitalWrite(pins::LAMP, is_lit ? LOW : HIGH);
  if (is_lost) show(Signal::Failed, Failure::Waiting);
}

bool App::next_press(int64_t& wanted_us) {
  std::lock_guard<std::mutex> guard(mutex_);
  if (press_count_ == 0) return false;
  wanted_us = presses_[0];
  press_count_--;
  for (size_t at = 0; at < press_count_; at++) presses_[at] = presses_[at + 1];
  return true;
}

void App::show(Signal signal, Failure failure) {
  std::lock_guard<std::mutex> guard(mutex_);
  lamp_.show(signal, failure, clock_.now_ms());
}

void App::tell(PictureId id, const Delivery& delivery) {
  if (!delivery.is_stored) return fail(id, delivery.failure);
  show(Signal::Stored);
  Serial.printf("picture %" PRIu32 ": stored, attempt %" PRIu32 "\n", id.number, delivery.attempts);
}

void App::fail(PictureId id, Failure failure) {
  show(Signal::Failed, failure);
  Serial.printf("picture %" PRIu32 " is lost: %s\n", id.number, words(failure));
}

}  // namespace cam
