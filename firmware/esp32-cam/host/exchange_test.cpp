// Attempts over real sockets against a scripted server on loopback: every byte of the request is looked at, and the
// server is slow, gone, silent, early or broken.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <thread>

#include "../src/logic/attempt.h"
#include "check.h"
#include "peer.h"

using namespace cam;

namespace {

Settings to(const Peer& peer) {
  Settings settings;
  settings.device = "gate";
  settings.upload_host = "127.0.0.1";
  settings.upload_port = peer.port();
  settings.upload_token = "t0ken";
  return settings;
}

Picture picture(size_t length) {
  std::vector<uint8_t> bytes(length);
  for (size_t at = 0; at < length; at++) bytes[at] = static_cast<uint8_t>(at * 7 + at / 251);
  bytes[0] = 0xFF, bytes[1] = 0xD8, bytes[2] = 0xFF;
  bytes[length - 2] = 0xFF, bytes[length - 1] = 0xD9;
  Picture picture(bytes.data(), bytes.size(), 0);
  picture.id = {0x5f3a9c01, 124};
  return picture;
}

std::string body_of(const Picture& picture) {
  return {reinterpret_cast<const char*>(picture.bytes.get()), picture.length};
}

/// Limits that are reached only where a test wants it, also on a busy machine.
TimeLimits patient() {
  TimeLimits limits;
  limits.connect_ms = 20000;
  limits.stall_ms = 20000;
  limits.answer_ms = 20000;
  limits.body_ms = 20000;
  return limits;
}

constexpr char STORED[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"success\":true}";

uint32_t no_chance() { return 0; }

/// A clock that does not wait for pauses between attempts, and notes them.
class SkippingClock : public RealClock {
 public:
  void wait_ms(uint32_t duration_ms) override {
    if (duration_ms < 100) return RealClock::wait_ms(duration_ms);
    pauses.push_back(duration_ms);
    skipped_ += duration_ms;
  }
  uint32_t now_ms() override { return RealClock::now_ms() + skipped_; }
  std::vector<uint32_t> pauses;

 private:
  uint32_t skipped_ = 0;
};

}  // namespace

TEST(the_server_gets_the_request_byte_by_byte_as_it_was_meant) {
  Peer peer;
  peer.then([](Stranger& stranger) {
    stranger.read_request();
    stranger.write(STORED);
  });
  SocketConnection connection;
  RealClock clock;
  const Picture sent = picture(180000);
  const Outcome outcome = attempt(connection, clock, to(peer), sent, patient());
  CHECK(outcome.is_answered);
  EQUAL(outcome.status, 200);
  peer.finish();
  const Request request = peer.requests().at(0);
  EQUAL(request.line, std::string("POST /upload HTTP/1.1"));
  EQUAL(request.field("host"), "127.0.0.1:" + std::to_string(peer.port()));
  EQUAL(request.field("content-type"), std::string("image/jpeg"));
  EQUAL(request.field("content-length"), std::string("180000"));
  EQUAL(request.field("authorization"), std::string("Bearer t0ken"));
  EQUAL(request.field("content-disposition"), std::string("attachment; filename=\"gate_5f3a9c01_000124.jpg\""));
  EQUAL(request.field("idempotency-key"), std::string("gate-5f3a9c01-124"));
  EQUAL(request.field("connection"), std::string("close"));
  CHECK(request.is_well_formed);
  CHECK(request.body == body_of(sent));
  EQUAL(request.after, std::string(""));
}

TEST(a_server_that_reads_in_drops_gets_every_byte_through_partial_writes) {
  Peer peer(2048);
  peer.then([](Stranger& stranger) {
    stranger.read_request(97);
    stranger.write(STORED);
  });
  SocketConnection connection(2048);
  RealClock clock;
  const Picture sent = picture(120000);
  EQUAL(attempt(connection, clock, to(peer), sent, patient()).status, 200);
  peer.finish();
  CHECK(peer.requests().at(0).body == body_of(sent));
  CHECK(connection.partial_writes() > 0);
}

TEST(an_answer_in_single_bytes_is_read) {
  Peer peer;
  peer.then([](Stranger& stranger) {
    stranger.read_request();
    for (const char c : std::string("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 9\r\n\r\n")) {
      stranger.write(std::string(1, c));
    }
  });
  SocketConnection connection;
  RealClock clock;
  const Outcome outcome = attempt(connection, clock, to(peer), picture(5000), patient());
  EQUAL(outcome.status, 429);
  EQUAL(outcome.retry_after_s, 9u);
}

TEST(a_server_that_refuses_before_it_has_everything_is_heard) {
  Peer peer(4096);
  peer.then([](Stranger& stranger) {
    stranger.read_some(500);
    stranger.write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stranger.wait_for_end();
  });
  SocketConnection connection(4096);
  RealClock clock;
  const uint32_t began = clock.now_ms();
  EQUAL(attempt(connection, clock, to(peer), picture(4 << 20), patient()).status, 413);
  // At once, and not when the server hangs up.
  CHECK(clock.now_ms() - began < WAIT_FOR_END_MS / 2);
}

TEST(a_server_that_hangs_up_at_any_point_is_no_answer) {
  const std::vector<std::function<void(Stranger&)>> ways = {
      [](Stranger&) {},
      [](Stranger& stranger) { stranger.read_some(10); },
      [](Stranger& stranger) { stranger.read_some(10), stranger.reset(); },
      [](Stranger& stranger) { stranger.read_request(); },
      [](Stranger& stranger) { stranger.read_request(), stranger.reset(); },
      [](Stranger& stranger) { stranger.read_request(), stranger.write("HTTP/1.1 200 OK\r\n"); },
      [](Stranger& stranger) {
        stranger.read_request();
        stranger.write("HTTP/1.1 200 OK\r\nA: b\r\n");
        stranger.reset();
      },
  };
  for (const auto& way : ways) {
    Peer peer;
    peer.then(way);
    SocketConnection connection;
    RealClock clock;
    CHECK(!attempt(connection, clock, to(peer), picture(300000), patient()).is_answered);
  }
}

TEST(a_server_that_says_200_and_hangs_up_has_it) {
  Peer peer;
  peer.then([](Stranger& stranger) {
    stranger.read_request();
    stranger.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"succ");
  });
  SocketConnection connection;
  RealClock clock;
  const Outcome outcome = attempt(connection, clock, to(peer), picture(3000), patient());
  CHECK(outcome.is_answered && !outcome.says_no);
}

TEST(a_silent_server_and_one_that_does_not_read_cost_a_bounded_time) {
  TimeLimits limits = patient();
  limits.answer_ms = 60;
  limits.stall_ms = 60;
  for (const bool reads : {true, false}) {
    Peer peer(4096);
    peer.then([reads](Stranger& stranger) {
      if (reads) stranger.read_request();
      stranger.wait_for_end();
    });
    SocketConnection connection(4096);
    RealClock clock;
    const uint32_t began = clock.now_ms();
    CHECK(!attempt(connection, clock, to(peer), picture(1 << 20), limits).is_answered);
    CHECK(clock.now_ms() - began < WAIT_FOR_END_MS / 2);
  }
}

TEST(a_server_that_never_ends_its_body_has_the_picture_all_the_same) {
  TimeLimits limits = patient();
  limits.body_ms = 50;
  Peer peer;
  peer.then([](Stranger& stranger) {
    stranger.read_request();
    stranger.write("HTTP/1.1 200 OK\r\n\r\n{\"success\":true");
    stranger.wait_for_end();
  });
  SocketConnection connection;
  RealClock clock;
  EQUAL(attempt(connection, clock, to(peer), picture(3000), limits).status, 200);
}

TEST(a_server_that_trickles_is_left_at_the_end_of_all_patience) {
  TimeLimits limits = patient();
  limits.whole_ms = 150;
  Peer peer;
  peer.then([](Stranger& stranger) {
    stranger.read_request();
    while (stranger.write("x") && !stranger.is_gone()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  });
  SocketConnection connection;
  RealClock clock;
  CHECK(!attempt(connection, clock, to(peer), picture(3000), limits).is_answered);
}

TEST(nobody_at_the_address_is_no_answer) {
  Settings settings;
  {
    Peer gone;
    settings = to(gone);
  }
  SocketConnection connection;
  RealClock clock;
  CHECK(!attempt(connection, clock, settings, picture(3000), patient()).is_answered);
}

TEST(a_picture_is_sent_again_with_the_same_name_until_it_is_stored) {
  Peer peer;
  peer.then([](Stranger& stranger) { stranger.read_some(100), stranger.reset(); });
  peer.then([](Stranger& stranger) {
    stranger.read_request();
    stranger.write("HTTP/1.1 507 Full\r\nContent-Length: 0\r\n\r\n");
  });
  peer.then([](Stranger& stranger) {
    stranger.read_request();
    stranger.write("HTTP/1.1 429 Slow\r\nRetry-After: 20\r\n\r\n");
  });
  // Stored, but the answer is lost: the server knows the next one by its key.
  peer.then([](Stranger& stranger) { stranger.read_request(); });
  peer.then([](Stranger& stranger) {
    stranger.read_request();
    stranger.write(STORED);
  });
  SocketConnection connection;
  SkippingClock clock;
  const Picture sent = picture(20000);
  const Delivery delivery = deliver(connection, clock, no_chance, to(peer), sent, patient(), PATIENCE_AWAKE);
  CHECK(delivery.is_stored);
  EQUAL(delivery.attempts, 5u);
  peer.finish();
  EQUAL(peer.requests().size(), size_t{4});
  for (const Request& request : peer.requests()) {
    EQUAL(request.field("idempotency-key"), std::string("gate-5f3a9c01-124"));
    CHECK(request.body == body_of(sent));
  }
  CHECK((clock.pauses == std::vector<uint32_t>{500, 1000, 20000, 4000}));
}

TEST(what_is_refused_is_sent_once) {
  for (const char* status : {"401", "403", "413", "422", "404", "302"}) {
    Peer peer;
    for (int i = 0; i < 2; i++) {
      peer.then([status](Stranger& stranger) {
        stranger.read_request();
        stranger.write(std::string("HTTP/1.1 ") + status + " No\r\nContent-Length: 0\r\n\r\n");
      });
    }
    SocketConnection connection;
    SkippingClock clock;
    const Delivery delivery = deliver(connection, clock, no_chance, to(peer), picture(900), patient(), PATIENCE_AWAKE);
    CHECK(!delivery.is_stored);
    EQUAL(delivery.attempts, 1u);
    CHECK(clock.pauses.empty());
  }
}

TEST(patience_ends_and_says_why) {
  Peer peer;
  for (int i = 0; i < 4; i++) {
    peer.then([](Stranger& stranger) {
      stranger.read_request();
      stranger.write("HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n");
    });
  }
  SocketConnection connection;
  SkippingClock clock;
  const Delivery busy =
      deliver(connection, clock, no_chance, to(peer), picture(900), patient(), PATIENCE_BETWEEN_SLEEPS);
  CHECK(!busy.is_stored && busy.failure == Failure::Busy);
  EQUAL(busy.attempts, 4u);
  peer.finish();
  const Delivery gone =
      deliver(connection, clock, no_chance, to(peer), picture(900), patient(), PATIENCE_BETWEEN_SLEEPS);
  CHECK(!gone.is_stored && gone.failure == Failure::NoAnswer);
}
