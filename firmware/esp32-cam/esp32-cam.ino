// An AI-Thinker ESP32-CAM that camera-capture asks for pictures, and that pushes them. README.md says how to use it.

#if !__has_include("secrets.h")
#error "copy secrets.h.example to secrets.h and fill it in"
#endif
#include "secrets.h"
#include "src/board/app.h"

static_assert(sizeof WIFI_SSID > 1 && sizeof WIFI_SSID <= 33, "WIFI_SSID: 1 to 32 bytes");
static_assert(cam::is_passphrase(WIFI_PASSWORD), "WIFI_PASSWORD: 8 to 63 characters, or \"\" for an open network");
static_assert(cam::is_device(DEVICE_NAME), "DEVICE_NAME: 1 to 32 letters, digits, _ and -");
static_assert(cam::is_host(UPLOAD_HOST), "UPLOAD_HOST: a name or an IPv4 address alone, or \"\" to push nothing");
static_assert(UPLOAD_PORT >= 1 && UPLOAD_PORT <= 65535, "UPLOAD_PORT: 1 to 65535");
static_assert(cam::is_path(UPLOAD_PATH), "UPLOAD_PATH: begins with /, at most 128 characters, no blanks");
static_assert(cam::is_visible(UPLOAD_TOKEN, cam::TOKEN_MAX), "UPLOAD_TOKEN: at most 256 ASCII characters, no blanks");
static_assert(cam::is_period(PUSH_EVERY_SECONDS), "PUSH_EVERY_SECONDS: 0, or 5 to 864000");
static_assert(cam::is_button_pin(BUTTON_PIN), "BUTTON_PIN: 13, 14 or -1; the other pins are taken or start the board");
static_assert(cam::is_user(VIEW_USER), "VIEW_USER: at most 64 ASCII characters, no blanks and no colon");
static_assert(cam::is_visible(VIEW_PASSWORD, 64), "VIEW_PASSWORD: at most 64 ASCII characters, no blanks");
static_assert(cam::does_something(sizeof UPLOAD_HOST > 1, SERVE_PAGES, PUSH_EVERY_SECONDS, BUTTON_PIN),
              "nothing to do: set SERVE_PAGES, or UPLOAD_HOST with PUSH_EVERY_SECONDS or BUTTON_PIN");
static_assert(cam::has_somewhere_to_push(sizeof UPLOAD_HOST > 1, PUSH_EVERY_SECONDS, BUTTON_PIN),
              "PUSH_EVERY_SECONDS and BUTTON_PIN take pictures for UPLOAD_HOST, which is empty");

static cam::App& app() {
  static cam::App only{{WIFI_SSID, WIFI_PASSWORD, DEVICE_NAME, UPLOAD_HOST, UPLOAD_PORT, UPLOAD_PATH, UPLOAD_TOKEN,
                        PUSH_EVERY_SECONDS, BUTTON_PIN, SERVE_PAGES, VIEW_USER, VIEW_PASSWORD}};
  return only;
}

void setup() { app().setup(); }
void loop() { app().loop(); }
