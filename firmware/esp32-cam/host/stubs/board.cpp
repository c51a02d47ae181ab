// What stands behind the stubs; see board.h.
#include "board.h"

#include <Arduino.h>
#include <Preferences.h>
#include <WiFi.h>
#include <arpa/inet.h>
#include <driver/rtc_io.h>
#include <esp_http_server.h>
#include <esp_random.h>
#include <esp_sleep.h>
#include <esp_timer.h>
#include <fcntl.h>
#include <freertos/task.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

HardwareSerial Serial;
WiFiClass WiFi;

namespace {

constexpr uint32_t SKIPPED_FROM_MS = 50;

struct Session {
  std::string received;
  bool is_reading = true;
  size_t at_most = SIZE_MAX;
  void* context = nullptr;
  httpd_free_ctx_fn_t free_context = nullptr;
};

struct Hardware {
  std::mutex mutex;
  std::atomic<bool> has_power{false};
  std::atomic<int64_t> skipped_us{0};
  std::chrono::steady_clock::time_point began;
  std::vector<std::thread> tasks;
  std::atomic<bool> has_psram{true};
  std::atomic<bool> has_wifi{true};
  std::atomic<bool> wifi_is_on{false};
  std::string ssid;
  std::map<int, bool> levels;
  std::map<int, uint8_t> modes;
  std::map<int, uint32_t> reads;
  std::set<int> held;
  std::string serial;
  std::mt19937 random{1};

  std::function<board::Frame(uint32_t)> camera;
  bool camera_fails = false;
  bool camera_is_open = false;
  uint32_t camera_opened = 0;
  uint32_t camera_call = 0;
  camera_config_t config{};
  int frames_out = 0;

  std::map<std::string, uint32_t> flash;
  int flash_writes = -1;
  uint64_t wakeup_us = 0;

  /// The server's task: what follows is only touched under it.
  std::recursive_mutex server;
  bool is_serving = false;
  std::vector<httpd_uri_t> pages;
  std::map<int, Session> sessions;
  int next_socket = 50;
  std::mutex work_mutex;
  std::deque<std::function<void()>> work;
};

Hardware& hardware() {
  static Hardware only;
  return only;
}

/// What a request is while its handler runs.
struct Running {
  int socket;
  std::string authorization;
  std::string status = "200 OK";
  std::string type = "text/html";
  std::vector<std::pair<const char*, const char*>> fields;
};

Running& running(httpd_req_t* request) { return *static_cast<Running*>(request->aux); }

[[noreturn]] void misuse(const char* what) {
  fprintf(stderr, "the sketch uses the board wrongly: %s\n", what);
  abort();
}

}  // namespace

// ---- time and tasks

int64_t esp_timer_get_time() {
  const auto run = std::chrono::steady_clock::now() - hardware().began;
  return std::chrono::duration_cast<std::chrono::microseconds>(run).count() + hardware().skipped_us + 1;
}

unsigned long millis() { return static_cast<uint32_t>(esp_timer_get_time() / 1000); }

void delay(uint32_t ms) {
  if (!hardware().has_power) throw board::Dark{};
  if (ms >= SKIPPED_FROM_MS) {
    hardware().skipped_us += static_cast<int64_t>(ms) * 1000;
    ms = 1;
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  if (!hardware().has_power) throw board::Dark{};
}

BaseType_t xTaskCreate(TaskFunction_t code, const char* const, const uint32_t stack, void* const parameter,
                       UBaseType_t, TaskHandle_t* const) {
  if (stack < 2048) misuse("a stack of less than 2 kB");
  std::lock_guard<std::mutex> guard(hardware().mutex);
  hardware().tasks.emplace_back([code, parameter] {
    try {
      code(parameter);
      misuse("a task returned");
    } catch (const board::Dark&) {
    }
  });
  return pdPASS;
}

uint32_t esp_random() {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  return static_cast<uint32_t>(hardware().random());
}

esp_err_t esp_sleep_enable_timer_wakeup(uint64_t time_in_us) {
  hardware().wakeup_us = time_in_us;
  return ESP_OK;
}

void esp_deep_sleep_start() { throw board::Asleep{hardware().wakeup_us}; }

// ---- pins

void pinMode(uint8_t pin, uint8_t mode) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  hardware().modes[pin] = mode;
  if (mode == INPUT_PULLUP && hardware().levels.count(pin) == 0) hardware().levels[pin] = true;
}

void digitalWrite(uint8_t pin, uint8_t val) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  if (hardware().modes[pin] != OUTPUT) misuse("a level on a pin that is no output");
  if (hardware().held.count(pin) == 0) hardware().levels[pin] = val != LOW;
}

int digitalRead(uint8_t pin) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  if (hardware().modes.count(pin) == 0) misuse("a pin without a mode is read");
  hardware().reads[pin]++;
  return hardware().levels[pin] ? HIGH : LOW;
}

esp_err_t rtc_gpio_hold_en(gpio_num_t pin) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  hardware().held.insert(pin);
  return ESP_OK;
}

esp_err_t rtc_gpio_hold_dis(gpio_num_t pin) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  hardware().held.erase(pin);
  return ESP_OK;
}

bool psramFound() { return hardware().has_psram; }

// ---- serial line

void HardwareSerial::begin(unsigned long) {}

size_t HardwareSerial::printf(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  std::lock_guard<std::mutex> guard(hardware().mutex);
  hardware().serial += text;
  return static_cast<size_t>(length);
}

size_t HardwareSerial::println(const char* text) { return this->printf("%s\n", text); }

// ---- flash memory

Preferences::Preferences() = default;
Preferences::~Preferences() { end(); }

bool Preferences::begin(const char* name, bool, const char*) {
  if (strlen(name) > 15) misuse("a name of more than 15 characters in the flash memory");
  is_open_ = true;
  return true;
}

void Preferences::end() { is_open_ = false; }

size_t Preferences::putUInt(const char* key, uint32_t value) {
  if (!is_open_ || strlen(key) > 15) misuse("a write to the flash memory");
  std::lock_guard<std::mutex> guard(hardware().mutex);
  if (hardware().flash_writes == 0) return 0;
  if (hardware().flash_writes > 0) hardware().flash_writes--;
  hardware().flash[key] = value;
  return sizeof value;
}

uint32_t Preferences::getUInt(const char* key, uint32_t otherwise) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  const auto found = hardware().flash.find(key);
  return found == hardware().flash.end() ? otherwise : found->second;
}

// ---- camera

esp_err_t esp_camera_init(const camera_config_t* config) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  if (hardware().camera_is_open) misuse("a camera that is open is opened");
  if (hardware().held.count(config->pin_pwdn)) misuse("the camera's power is held off");
  hardware().camera_opened++;
  if (hardware().camera_fails) return ESP_FAIL;
  hardware().config = *config;
  hardware().camera_is_open = true;
  hardware().camera_call = 0;
  return ESP_OK;
}

esp_err_t esp_camera_deinit() {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  if (hardware().frames_out != 0) misuse("the camera is closed while a frame is out");
  hardware().camera_is_open = false;
  return ESP_OK;
}

camera_fb_t* esp_camera_fb_get() {
  std::unique_lock<std::mutex> guard(hardware().mutex);
  if (!hardware().camera_is_open) misuse("a frame of a camera that is not open");
  const board::Frame frame = hardware().camera(hardware().camera_call++);
  if (frame.is_missing) return nullptr;
  hardware().frames_out++;
  auto made = std::make_unique<camera_fb_t>();
  made->buf = new uint8_t[frame.bytes.size() + 1];
  std::copy(frame.bytes.begin(), frame.bytes.end(), made->buf);
  made->len = frame.bytes.size();
  made->format = PIXFORMAT_JPEG;
  const int64_t begun = esp_timer_get_time() - frame.age_us;
  if (frame.is_stamped) made->timestamp = {begun / 1000000, static_cast<suseconds_t>(begun % 1000000)};
  return made.release();
}

void esp_camera_fb_return(camera_fb_t* frame) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  hardware().frames_out--;
  delete[] frame->buf;
  delete frame;
}

// ---- network

void WiFiClass::persistent(bool) {}
bool WiFiClass::mode(wifi_mode_t mode) {
  hardware().wifi_is_on = mode == WIFI_STA;
  return true;
}
bool WiFiClass::setSleep(bool) { return true; }
bool WiFiClass::setHostname(const char*) { return true; }
bool WiFiClass::reconnect() { return true; }
bool WiFiClass::setAutoReconnect(bool) { return true; }
bool WiFiClass::disconnect(bool, bool, unsigned long) { return true; }
wl_status_t WiFiClass::status() {
  return hardware().wifi_is_on && hardware().has_wifi ? WL_CONNECTED : WL_DISCONNECTED;
}
wl_status_t WiFiClass::begin(const char* ssid, const char*, int32_t, const uint8_t*, bool) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  hardware().ssid = ssid;
  return WL_DISCONNECTED;
}

NetworkClient::NetworkClient() = default;
NetworkClient::~NetworkClient() { stop(); }

int NetworkClient::connect(const char* host, uint16_t port, int32_t timeout_ms) {
  stop();
  if (WiFi.status() != WL_CONNECTED) return 0;
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, host, &address.sin_addr);
  ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address);
  pollfd entry{socket_, POLLOUT, 0};
  int error = 1;
  socklen_t length = sizeof error;
  const bool is_ready = poll(&entry, 1, timeout_ms) == 1;
  if (is_ready && getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0) return 1;
  stop();
  return 0;
}

size_t NetworkClient::write(const uint8_t* bytes, size_t size) {
  const ssize_t count = ::send(socket_, bytes, size, MSG_NOSIGNAL);
  // The library closes a connection that broke.
  if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK) stop();
  return count < 0 ? 0 : static_cast<size_t>(count);
}

int NetworkClient::available() {
  int count = 0;
  return socket_ >= 0 && ioctl(socket_, FIONREAD, &count) == 0 ? count : 0;
}

int NetworkClient::read(uint8_t* bytes, size_t size) {
  if (socket_ < 0) return -1;
  const ssize_t count = ::recv(socket_, bytes, size, MSG_DONTWAIT);
  return count > 0 ? static_cast<int>(count) : -1;
}

uint8_t NetworkClient::connected() {
  if (socket_ < 0) return 0;
  char byte;
  const ssize_t count = ::recv(socket_, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  return count > 0 || (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

void NetworkClient::stop() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

// ---- web server

esp_err_t httpd_start(httpd_handle_t* handle, const httpd_config_t* config) {
  std::lock_guard<std::recursive_mutex> guard(hardware().server);
  if (config->server_port != 80) misuse("another port than 80");
  hardware().is_serving = true;
  *handle = &hardware();
  return ESP_OK;
}

esp_err_t httpd_register_uri_handler(httpd_handle_t, const httpd_uri_t* page) {
  std::lock_guard<std::recursive_mutex> guard(hardware().server);
  hardware().pages.push_back(*page);
  return ESP_OK;
}

esp_err_t httpd_resp_set_status(httpd_req_t* request, const char* status) {
  running(request).status = status;
  return ESP_OK;
}

esp_err_t httpd_resp_set_type(httpd_req_t* request, const char* type) {
  running(request).type = type;
  return ESP_OK;
}

esp_err_t httpd_resp_set_hdr(httpd_req_t* request, const char* field, const char* value) {
  if (running(request).fields.size() >= 8) misuse("more than 8 header fields");
  running(request).fields.emplace_back(field, value);
  return ESP_OK;
}

int httpd_socket_send(httpd_handle_t, int socket, const char* bytes, size_t length, int) {
  const auto found = hardware().sessions.find(socket);
  if (found == hardware().sessions.end()) return HTTPD_SOCK_ERR_INVALID;
  if (!found->second.is_reading) return HTTPD_SOCK_ERR_TIMEOUT;
  const size_t taken = std::min(length, found->second.at_most);
  found->second.received.append(bytes, taken);
  return static_cast<int>(taken);
}

int httpd_send(httpd_req_t* request, const char* bytes, size_t length) {
  return httpd_socket_send(request->handle, running(request).socket, bytes, length, 0);
}

esp_err_t httpd_resp_send(httpd_req_t* request, const char* bytes, ssize_t length) {
  const Running& run = running(request);
  const size_t count = length == HTTPD_RESP_USE_STRLEN ? strlen(bytes) : static_cast<size_t>(length);
  std::string text = "HTTP/1.1 " + run.status + "\r\nContent-Type: " + run.type +
                     "\r\nContent-Length: " + std::to_string(count) + "\r\n";
  for (const auto& [field, value] : run.fields) text += std::string(field) + ": " + value + "\r\n";
  text += "\r\n";
  text.append(bytes, count);
  return httpd_send(request, text.data(), text.size()) == static_cast<int>(text.size()) ? ESP_OK : ESP_FAIL;
}

esp_err_t httpd_resp_send_err(httpd_req_t* request, httpd_err_code_t error, const char* text) {
  if (error != HTTPD_500_INTERNAL_SERVER_ERROR) misuse("an error that the stub does not know");
  running(request).status = "500 Internal Server Error";
  running(request).type = "text/html";
  return httpd_resp_send(request, text, HTTPD_RESP_USE_STRLEN);
}

int httpd_req_to_sockfd(httpd_req_t* request) { return running(request).socket; }

size_t httpd_req_get_hdr_value_len(httpd_req_t* request, const char*) {
  return running(request).authorization.size();
}

esp_err_t httpd_req_get_hdr_value_str(httpd_req_t* request, const char* field, char* value, size_t room) {
  if (strcmp(field, "Authorization") != 0 || running(request).authorization.empty()) return ESP_ERR_NOT_FOUND;
  snprintf(value, room, "%s", running(request).authorization.c_str());
  return running(request).authorization.size() < room ? ESP_OK : ESP_FAIL;
}

static void close_session(int socket) {
  std::lock_guard<std::recursive_mutex> guard(hardware().server);
  const auto found = hardware().sessions.find(socket);
  if (found == hardware().sessions.end()) return;
  if (found->second.context != nullptr) found->second.free_context(found->second.context);
  hardware().sessions.erase(found);
}

esp_err_t httpd_sess_trigger_close(httpd_handle_t handle, int socket) {
  return httpd_queue_work(
      handle, [](void* which) { close_session(static_cast<int>(reinterpret_cast<intptr_t>(which))); },
      reinterpret_cast<void*>(static_cast<intptr_t>(socket)));
}

esp_err_t httpd_sess_update_lru_counter(httpd_handle_t, int socket) {
  return hardware().sessions.count(socket) ? ESP_OK : ESP_ERR_NOT_FOUND;
}

esp_err_t httpd_queue_work(httpd_handle_t, httpd_work_fn_t work, void* argument) {
  std::lock_guard<std::mutex> guard(hardware().work_mutex);
  hardware().work.push_back([work, argument] { work(argument); });
  return ESP_OK;
}

// ---- the test's side

namespace board {

void power_on() {
  Hardware& board = hardware();
  board.began = std::chrono::steady_clock::now();
  board.skipped_us = 0;
  board.levels.clear();
  board.modes.clear();
  board.serial.clear();
  board.camera_is_open = false;
  board.camera_opened = 0;
  board.frames_out = 0;
  board.wifi_is_on = false;
  board.pages.clear();
  board.sessions.clear();
  board.work.clear();
  board.has_power = true;
}

void power_off() {
  hardware().has_power = false;
  std::vector<std::thread> tasks;
  {
    std::lock_guard<std::mutex> guard(hardware().mutex);
    tasks.swap(hardware().tasks);
  }
  for (std::thread& task : tasks) task.join();
}

void set_psram(bool has) { hardware().has_psram = has; }
void set_wifi(bool is_there) { hardware().has_wifi = is_there; }

void set_pin(uint8_t pin, bool is_low) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  hardware().levels[pin] = !is_low;
}

void set_camera(std::function<Frame(uint32_t)> camera) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  hardware().camera = std::move(camera);
}

void set_camera_fails_to_open(bool fails) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  hardware().camera_fails = fails;
}

void set_flash_writes(int writes) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  hardware().flash_writes = writes;
}

void erase_flash() {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  hardware().flash.clear();
}

camera_config_t camera_config() {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  return hardware().config;
}

uint32_t camera_opened() {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  return hardware().camera_opened;
}

bool camera_is_open() {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  return hardware().camera_is_open;
}

int frames_out() {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  return hardware().frames_out;
}

bool is_lamp_lit() { return !pin_level(33); }

bool pin_level(uint8_t pin) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  return hardware().levels[pin];
}

uint32_t pin_reads(uint8_t pin) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  return hardware().reads[pin];
}

bool is_held(int pin) {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  return hardware().held.count(pin) > 0;
}

std::string serial() {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  return hardware().serial;
}

std::string wifi_ssid() {
  std::lock_guard<std::mutex> guard(hardware().mutex);
  return hardware().ssid;
}

bool wifi_is_on() { return hardware().wifi_is_on; }

std::string HttpAnswer::status() const { return text.size() > 12 ? text.substr(9, 3) : ""; }

std::string HttpAnswer::field(const std::string& name) const {
  const size_t at = text.find("\r\n" + name + ": ");
  if (at == std::string::npos || at > text.find("\r\n\r\n")) return "(none)";
  const size_t from = at + name.size() + 4;
  return text.substr(from, text.find("\r\n", from) - from);
}

std::string HttpAnswer::body() const {
  const size_t at = text.find("\r\n\r\n");
  return at == std::string::npos ? "" : text.substr(at + 4);
}

Client::Client() {
  std::lock_guard<std::recursive_mutex> guard(hardware().server);
  socket_ = hardware().next_socket++;
  hardware().sessions[socket_];
}

Client::~Client() { close_session(socket_); }

HttpAnswer Client::get(const std::string& uri, const std::string& authorization) {
  std::lock_guard<std::recursive_mutex> guard(hardware().server);
  Running run;
  run.socket = socket_;
  run.authorization = authorization;
  for (const httpd_uri_t& page : hardware().pages) {
    if (uri != page.uri) continue;
    Session& session = hardware().sessions.at(socket_);
    session.received.clear();
    httpd_req_t request{&hardware(), HTTP_GET, {}, 0, &run, page.user_ctx, session.context, session.free_context,
                        false};
    const bool stays = page.handler(&request) == ESP_OK;
    session.context = request.sess_ctx;
    session.free_context = request.free_ctx;
    HttpAnswer answer{session.received, !stays};
    session.received.clear();
    if (!stays) close_session(socket_);
    return answer;
  }
  return {"HTTP/1.1 404 Not Found\r\n\r\n", false};
}

HttpAnswer get(const std::string& uri, const std::string& authorization) { return Client().get(uri, authorization); }

std::string Client::received() {
  std::lock_guard<std::recursive_mutex> guard(hardware().server);
  const auto found = hardware().sessions.find(socket_);
  std::string all;
  if (found != hardware().sessions.end()) all.swap(found->second.received);
  return all;
}

bool Client::is_open() const {
  std::lock_guard<std::recursive_mutex> guard(hardware().server);
  return hardware().sessions.count(socket_) > 0;
}

void Client::stop_reading() {
  std::lock_guard<std::recursive_mutex> guard(hardware().server);
  hardware().sessions.at(socket_).is_reading = false;
}

void Client::take_at_most(size_t bytes) {
  std::lock_guard<std::recursive_mutex> guard(hardware().server);
  hardware().sessions.at(socket_).at_most = bytes;
}

bool has_server_work() {
  std::lock_guard<std::mutex> work(hardware().work_mutex);
  return !hardware().work.empty();
}

int run_server_work() {
  std::lock_guard<std::recursive_mutex> guard(hardware().server);
  for (int done = 0;; done++) {
    std::function<void()> next;
    {
      std::lock_guard<std::mutex> work(hardware().work_mutex);
      if (hardware().work.empty()) return done;
      next = std::move(hardware().work.front());
      hardware().work.pop_front();
    }
    next();
  }
}

}  // namespace board
