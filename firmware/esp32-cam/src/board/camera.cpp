#include "camera.h"

#include <Arduino.h>
#include <esp_camera.h>

#include "pins.h"

namespace cam {

namespace {

/// Old, torn, or both: after so many something else is wrong.
constexpr uint32_t FRAMES_TRIED = 6;
/// The exposure finds its way from darkness over the first frames.
constexpr uint32_t FRAMES_OF_WARMING_UP = 4;

camera_config_t configuration() {
  const bool has_psram = psramFound();
  camera_config_t config{};
  config.pin_pwdn = pins::CAMERA_POWER_DOWN;
  config.pin_reset = pins::CAMERA_RESET;
  config.pin_xclk = pins::CAMERA_CLOCK;
  config.pin_sccb_sda = pins::CAMERA_SDA;
  config.pin_sccb_scl = pins::CAMERA_SCL;
  config.pin_d0 = pins::CAMERA_D0;
  config.pin_d1 = pins::CAMERA_D1;
  config.pin_d2 = pins::CAMERA_D2;
  config.pin_d3 = pins::CAMERA_D3;
  config.pin_d4 = pins::CAMERA_D4;
  config.pin_d5 = pins::CAMERA_D5;
  config.pin_d6 = pins::CAMERA_D6;
  config.pin_d7 = pins::CAMERA_D7;
  config.pin_vsync = pins::CAMERA_VSYNC;
  config.pin_href = pins::CAMERA_HREF;
  config.pin_pclk = pins::CAMERA_PIXEL_CLOCK;
  config.xclk_freq_hz = 20000000;
  config.ledc_timer = LEDC_TIMER_0;
  config.ledc_channel = LEDC_CHANNEL_0;
  config.pixel_format = PIXFORMAT_JPEG;
  config.frame_size = has_psram ? FRAMESIZE_UXGA : FRAMESIZE_SVGA;
  config.jpeg_quality = has_psram ? 10 : 12;
  config.fb_count = has_psram ? 2 : 1;
  config.fb_location = has_psram ? CAMERA_FB_IN_PSRAM : CAMERA_FB_IN_DRAM;
  // With one buffer the driver fills it and waits, whatever is said here: its first frame is an old one.
  config.grab_mode = CAMERA_GRAB_LATEST;
  return config;
}

}  // namespace

bool Camera::open() {
  const camera_config_t config = configuration();
  is_open_ = esp_camera_init(&config) == ESP_OK;
  for (uint32_t frame = 0; is_open_ && frame < FRAMES_OF_WARMING_UP; frame++) {
    if (camera_fb_t* early = esp_camera_fb_get()) esp_camera_fb_return(early);
  }
  return is_open_;
}

Picture Camera::take_open(int64_t wanted_us) {
  for (uint32_t earlier = 0; earlier < FRAMES_TRIED; earlier++) {
    camera_fb_t* frame = esp_camera_fb_get();
    if (frame == nullptr) break;
    const int64_t begun = static_cast<int64_t>(frame->timestamp.tv_sec) * 1000000 + frame->timestamp.tv_usec;
    const size_t length = shows_now(begun, wanted_us, earlier) ? whole_jpeg(frame->buf, frame->len) : 0;
    Picture picture;
    if (length > 0) picture = Picture(frame->buf, length, begun);
    esp_camera_fb_return(frame);
    if (length > 0) return picture;
  }
  return {};
}

Picture Camera::take(int64_t wanted_us) {
  std::lock_guard<std::mutex> guard(mutex_);
  const bool was_open = is_open_;
  Picture picture;
  if (is_open_ || open()) picture = take_open(wanted_us);
  if (picture.bytes || !was_open) return picture;
  // A sensor that lost its clock or its settings works again from the start.
  esp_camera_deinit();
  return open() ? take_open(wanted_us) : Picture{};
}

void Camera::close() {
  std::lock_guard<std::mutex> guard(mutex_);
  if (is_open_) esp_camera_deinit();
  is_open_ = false;
}

}  // namespace cam
