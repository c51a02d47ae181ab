#include "sleep.h"

#include <Arduino.h>
#include <driver/rtc_io.h>
#include <esp_sleep.h>

#include "pins.h"

namespace cam {

namespace {

constexpr gpio_num_t POWER_DOWN = static_cast<gpio_num_t>(pins::CAMERA_POWER_DOWN);
constexpr gpio_num_t FLASH = static_cast<gpio_num_t>(pins::FLASH);

}  // namespace

void wake_up() {
  rtc_gpio_hold_dis(POWER_DOWN);
  rtc_gpio_hold_dis(FLASH);
  pinMode(pins::FLASH, OUTPUT);
  digitalWrite(pins::FLASH, LOW);
}

void sleep_for(uint64_t duration_us) {
  digitalWrite(pins::LAMP, HIGH);
  // Pins float while the board sleeps: the sensor would draw its current all the time, and the flash would glow.
  pinMode(pins::CAMERA_POWER_DOWN, OUTPUT);
  digitalWrite(pins::CAMERA_POWER_DOWN, HIGH);
  rtc_gpio_hold_en(POWER_DOWN);
  rtc_gpio_hold_en(FLASH);
  esp_sleep_enable_timer_wakeup(duration_us);
  esp_deep_sleep_start();
}

}  // namespace cam
