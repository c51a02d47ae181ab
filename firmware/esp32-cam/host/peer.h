// The far side of the tests: a server on loopback whose connections follow a script, and the sockets and the clock of
// this machine in the place of the board's.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "../src/logic/attempt.h"

/// What a server read of one connection.
struct Request {
  std::string line;
  std::map<std::string, std::string> fields;
  std::string body;
  /// Bytes behind the announced length.
  std::string after;
  /// Every line of the head ends in CR LF, has a name and a colon, and no name stands twice.
  bool is_well_formed = true;

  std::string field(const std::string& name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? "(none)" : found->second;
  }
};

/// Parses as strictly as a server may.
inline Request parse_head(const std::string& head) {
  Request request;
  size_t at = 0;
  for (bool is_first = true; at < head.size(); is_first = false) {
    const size_t end = head.find("\r\n", at);
    if (end == std::string::npos) {
      request.is_well_formed = false;
      break;
    }
    const std::string line = head.substr(at, end - at);
    at = end + 2;
    if (line.find_first_of("\r\n") != std::string::npos) request.is_well_formed = false;
    if (is_first) {
      request.line = line;
      continue;
    }
    if (line.empty()) break;
    const size_t colon = line.find(": ");
    if (colon == std::string::npos || colon == 0) {
      request.is_well_formed = false;
      continue;
    }
    std::string name = line.substr(0, colon);
    for (char& c : name) c = static_cast<char>(tolower(c));
    if (!request.fields.emplace(name, line.substr(colon + 2)).second) request.is_well_formed = false;
  }
  return request;
}

/// A server that waits for a test waits no longer.
constexpr uint32_t WAIT_FOR_END_MS = 20000;

/// One connection, seen from the server. It waits for no byte longer than ten seconds.
class Stranger {
 public:
  Stranger(int socket, std::shared_future<void> end) : socket_(socket), end_(std::move(end)) {
    timeval limit{10, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  ~Stranger() { finish(); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  /// A whole request, taken in pieces of at most `piece` bytes.
  void read_request(size_t piece = 65536) {
    std::string all;
    size_t end;
    while ((end = all.find("\r\n\r\n")) == std::string::npos) {
      if (!read_piece(all, piece)) return;
    }
    Request request = parse_head(all.substr(0, end + 4));
    const std::string announced = request.field("content-length");
    const size_t length = announced == "(none)" ? 0 : std::stoul(announced);
    std::string rest = all.substr(end + 4);
    while (rest.size() < length) {
      if (!read_piece(rest, piece)) return;
    }
    request.body = rest.substr(0, length);
    request.after = rest.substr(length);
    requests.push_back(std::move(request));
  }

  void read_some(size_t count) {
    std::string some;
    while (some.size() < count && read_piece(some, count - some.size())) {
    }
  }

  bool write(const std::string& text) {
    size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t count = ::send(socket_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return false;
      sent += static_cast<size_t>(count);
    }
    return true;
  }

  /// Does nothing until the test is over with this server; what comes meanwhile is not read.
  void wait_for_end() { end_.wait_for(std::chrono::milliseconds(WAIT_FOR_END_MS)); }

  bool is_gone() {
    pollfd entry{socket_, POLLRDHUP, 0};
    return poll(&entry, 1, 0) > 0;
  }

  /// Hangs up as a machine that crashed: the other side gets an error, not an end.
  void reset() {
    if (socket_ < 0) return;
    linger hard{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    ::close(socket_);
    socket_ = -1;
  }

  std::vector<Request> requests;

 private:
  bool read_piece(std::string& to, size_t piece) {
    std::vector<char> bytes(piece);
    const ssize_t count = ::recv(socket_, bytes.data(), piece, 0);
    if (count <= 0) return false;
    to.append(bytes.data(), static_cast<size_t>(count));
    return true;
  }

  void finish() {
    if (socket_ < 0) return;
    // A socket that is closed with bytes unread resets the connection, and what was written is lost on the way.
    shutdown(socket_, SHUT_WR);
    std::string rest;
    while (read_piece(rest, 65536)) {
    }
    ::close(socket_);
    socket_ = -1;
  }

  int socket_;
  std::shared_future<void> end_;
};

/// A server whose connections follow the script, one after the other; further ones are not taken.
class Peer {
 public:
  explicit Peer(int receive_buffer = 0) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener_, 8) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      perror("a server on loopback");
      abort();
    }
    port_ = ntohs(address.sin_port);
    server_ = std::thread([this] { serve(); });
  }
  ~Peer() { finish(); }

  uint16_t port() const { return port_; }

  /// What the next connection does.
  void then(std::function<void(Stranger&)> part) {
    std::lock_guard<std::mutex> guard(mutex_);
    script_.push(std::move(part));
  }

  /// Nobody is served any more, and nobody can connect.
  void finish() {
    if (!server_.joinable()) return;
    end_promise_.set_value();
    shutdown(listener_, SHUT_RDWR);
    server_.join();
    ::close(listener_);
  }

  std::vector<Request> requests() {
    std::lock_guard<std::mutex> guard(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (;;) {
      const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0) return;
      std::function<void(Stranger&)> part = [](Stranger&) {};
      {
        std::lock_guard<std::mutex> guard(mutex_);
        if (!script_.empty()) {
          part = script_.front();
          script_.pop();
        }
      }
      Stranger stranger(socket, end_);
      part(stranger);
      std::lock_guard<std::mutex> guard(mutex_);
      for (Request& request : stranger.requests) requests_.push_back(std::move(request));
    }
  }

  std::promise<void> end_promise_;
  std::shared_future<void> end_ = end_promise_.get_future().share();
  int listener_;
  uint16_t port_;
  std::thread server_;
  std::mutex mutex_;
  std::queue<std::function<void(Stranger&)>> script_;
  std::vector<Request> requests_;
};

class RealClock : public cam::Clock {
 public:
  uint32_t now_ms() override {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  }
  void wait_ms(uint32_t duration_ms) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(duration_ms < 1 ? 1 : duration_ms));
  }
};

/// A socket that does not block, with a send buffer as small as that of a board.
class SocketConnection : public cam::Connection {
 public:
  explicit SocketConnection(int send_buffer = 0) : send_buffer_(send_buffer) {}
  ~SocketConnection() override { close(); }

  bool open(const char* host, uint16_t port, uint32_t limit_ms) override {
    close();
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (send_buffer_ > 0) setsockopt(socket_, SOL_SOCKET, SO_SNDBUF, &send_buffer_, sizeof send_buffer_);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) return false;
    if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return true;
    if (errno != EINPROGRESS) return false;
    pollfd entry{socket_, POLLOUT, 0};
    if (poll(&entry, 1, static_cast<int>(limit_ms)) <= 0) return false;
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
  }

  int write(const uint8_t* bytes, size_t length) override {
    const ssize_t count = ::send(socket_, bytes, length, MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    if (static_cast<size_t>(count) < length) partial_writes_++;
    return static_cast<int>(count);
  }

  int read(uint8_t* bytes, size_t room) override {
    const ssize_t count = ::recv(socket_, bytes, room, 0);
    if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    return count == 0 ? -1 : static_cast<int>(count);
  }

  void close() override {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

  int partial_writes() const { return partial_writes_; }

 private:
  int socket_ = -1;
  int send_buffer_;
  int partial_writes_ = 0;
};
