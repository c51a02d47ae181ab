// What the board serves: `/` for connection testing, `/capture` for one picture, `/stream` for many.
//
// ESP-IDF's server has one task. A handler that sent a stream would keep every other request waiting, so `/stream` only
// leaves its socket here; each picture then goes to all viewers as one piece of work between requests.
#pragma once

#include <esp_http_server.h>

#include <atomic>

#include "../logic/settings.h"
#include "camera.h"

namespace cam {

class Web {
 public:
  Web(const Settings& settings, Camera& camera) : settings_(settings), camera_(camera) {}

  bool begin();

  /// To be called often: orders the next picture of the stream if somebody looks and it is time.
  void stream(uint32_t now_ms);

 private:
  struct Viewer {
    Web* web = nullptr;
    /// -1: the place is free.
    int socket = -1;
  };

  static esp_err_t root(httpd_req_t* request);
  static esp_err_t capture(httpd_req_t* request);
  static esp_err_t join_stream(httpd_req_t* request);
  static void leave_stream(void* viewer);
  static void send_picture(void* web);

  bool may_see(httpd_req_t* request);
  bool send(int socket, const void* bytes, size_t length);

  /// The Wi-Fi carries no more.
  static constexpr size_t VIEWERS_MAX = 2;

  const Settings& settings_;
  Camera& camera_;
  httpd_handle_t server_ = nullptr;
  char login_[192] = {};
  /// Only the server's task touches them.
  Viewer viewers_[VIEWERS_MAX];
  int64_t last_taken_us_ = 0;
  std::atomic<int> viewer_count_{0};
  std::atomic<bool> is_ordered_{false};
  uint32_t last_ordered_ms_ = 0;
};

}  // namespace cam
