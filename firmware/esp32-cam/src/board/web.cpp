#include "web.h"

#include <Arduino.h>
#include <esp_timer.h>

#include "../logic/login.h"
#include "../logic/stream.h"

namespace cam {

bool Web::begin() {
  if (settings_.view_password[0] != '\0' &&
      basic_login(login_, sizeof login_, settings_.view_user, settings_.view_password) == 0) {
    return false;
  }
  httpd_config_t config = HTTPD_DEFAULT_CONFIG();
  config.server_port = 80;
  config.stack_size = 6144;
  // A browser that left without a word gives its place to the next one.
  config.lru_purge_enable = true;
  if (httpd_start(&server_, &config) != ESP_OK) return false;
  const httpd_uri_t pages[] = {
      {"/", HTTP_GET, root, this},
      {"/capture", HTTP_GET, capture, this},
      {"/stream", HTTP_GET, join_stream, this},
  };
  for (const httpd_uri_t& page : pages) {
    if (httpd_register_uri_handler(server_, &page) != ESP_OK) return false;
  }
  return true;
}

bool Web::may_see(httpd_req_t* request) {
  if (login_[0] == '\0') return true;
  char header[sizeof login_];
  if (httpd_req_get_hdr_value_len(request, "Authorization") < sizeof header &&
      httpd_req_get_hdr_value_str(request, "Authorization", header, sizeof header) == ESP_OK &&
      is_login(header, login_)) {
    return true;
  }
  httpd_resp_set_status(request, "401 Unauthorized");
  httpd_resp_set_hdr(request, "WWW-Authenticate", "Basic realm=\"camera\"");
  httpd_resp_send(request, "this camera asks for its user name and password", HTTPD_RESP_USE_STRLEN);
  return false;
}

esp_err_t Web::root(httpd_req_t* request) {
  httpd_resp_set_type(request, "text/html");
  httpd_resp_set_hdr(request, "Access-Control-Allow-Origin", "*");
  return httpd_resp_send(request, "ESP32 Camera Ready", HTTPD_RESP_USE_STRLEN);
}

esp_err_t Web::capture(httpd_req_t* request) {
  Web& web = *static_cast<Web*>(request->user_ctx);
  if (!web.may_see(request)) return ESP_OK;
  const Picture picture = web.camera_.take(esp_timer_get_time());
  httpd_resp_set_hdr(request, "Access-Control-Allow-Origin", "*");
  if (!picture.bytes) {
    return httpd_resp_send_err(request, HTTPD_500_INTERNAL_SERVER_ERROR, "the camera gave no picture");
  }
  char stamp[32];
  time_stamp(stamp, sizeof stamp, picture.taken_at_us);
  httpd_resp_set_type(request, "image/jpeg");
  httpd_resp_set_hdr(request, "Content-Disposition", "inline; filename=capture.jpg");
  // Whoever asked can tell by it that the picture is a new one.
  if (picture.taken_at_us > 0) httpd_resp_set_hdr(request, "X-Timestamp", stamp);
  httpd_resp_set_hdr(request, "Cache-Control", "no-store");
  return httpd_resp_send(request, reinterpret_cast<const char*>(picture.bytes.get()),
                         static_cast<ssize_t>(picture.length));
}

esp_err_t Web::join_stream(httpd_req_t* request) {
  Web& web = *static_cast<Web*>(request->user_ctx);
  // A second request on the connection of a stream ends it.
  if (request->sess_ctx != nullptr) return ESP_FAIL;
  if (!web.may_see(request)) return ESP_OK;
  Viewer* place = nullptr;
  for (Viewer& viewer : web.viewers_) {
    if (viewer.socket < 0) place = &viewer;
  }
  if (place == nullptr) {
    httpd_resp_set_status(request, "503 Service Unavailable");
    httpd_resp_set_hdr(request, "Retry-After", "10");
    return httpd_resp_send(request, "as many look already as the Wi-Fi carries", HTTPD_RESP_USE_STRLEN);
  }
  const int socket = httpd_req_to_sockfd(request);
  if (!web.send(socket, STREAM_HEAD, sizeof STREAM_HEAD - 1)) return ESP_FAIL;
  place->web = &web;
  place->socket = socket;
  // Called by the server when the connection ends, however it does.
  request->sess_ctx = place;
  request->free_ctx = leave_stream;
  web.viewer_count_++;
  return ESP_OK;
}

void Web::leave_stream(void* viewer) {
  Viewer& place = *static_cast<Viewer*>(viewer);
  place.socket = -1;
  place.web->viewer_count_--;
}

void Web::stream(uint32_t now_ms) {
  if (viewer_count_ == 0 || now_ms - last_ordered_ms_ < 1000 / STREAM_PICTURES_PER_SECOND) return;
  if (is_ordered_.exchange(true)) return;
  last_ordered_ms_ = now_ms;
  if (httpd_queue_work(server_, send_picture, this) != ESP_OK) is_ordered_ = false;
}

bool Web::send(int socket, const void* bytes, size_t length) {
  const char* at = static_cast<const char*>(bytes);
  while (length > 0) {
    const int taken = httpd_socket_send(server_, socket, at, length, 0);
    if (taken <= 0) return false;
    at += taken;
    length -= static_cast<size_t>(taken);
  }
  return true;
}

void Web::send_picture(void* context) {
  Web& web = *static_cast<Web*>(context);
  Picture picture;
  // The last one may have left since it was ordered.
  if (web.viewer_count_ > 0) picture = web.camera_.take(web.last_taken_us_ + 1);
  if (picture.bytes) {
    web.last_taken_us_ = picture.taken_at_us;
    char head[160];
    const size_t length = part_head(head, sizeof head, picture.length, picture.taken_at_us);
    for (const Viewer& viewer : web.viewers_) {
      if (viewer.socket < 0) continue;
      if (web.send(viewer.socket, head, length) && web.send(viewer.socket, picture.bytes.get(), picture.length) &&
          web.send(viewer.socket, PART_END, sizeof PART_END - 1)) {
        httpd_sess_update_lru_counter(web.server_, viewer.socket);
      } else {
        httpd_sess_trigger_close(web.server_, viewer.socket);
      }
    }
  }
  web.is_ordered_ = false;
}

}  // namespace cam
