// The sketch on a board that is not there: camera, contact, memory and Wi-Fi behind stubs with the libraries'
// signatures, and a real server on loopback.
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>

#include "../src/board/app.h"
#include "check.h"
#include "peer.h"
#include "stubs/board.h"

using namespace cam;

namespace {

/// A JPEG that says in its middle which one it is.
std::vector<uint8_t> jpeg(uint32_t which, size_t length = 6000) {
  std::vector<uint8_t> bytes(length, 0x55);
  bytes[0] = 0xFF, bytes[1] = 0xD8, bytes[2] = 0xFF, bytes[3] = 0xE0;
  memcpy(&bytes[4], &which, sizeof which);
  bytes[length - 2] = 0xFF, bytes[length - 1] = 0xD9;
  return bytes;
}

std::string text(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

board::Frame fresh(uint32_t which) {
  board::Frame frame;
  frame.bytes = jpeg(which);
  return frame;
}

void answer(Stranger& stranger, const std::string& status) {
  stranger.read_request();
  stranger.write("HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n\r\n");
}

Settings settings(const Peer& peer) {
  Settings settings;
  settings.wifi_ssid = "yard";
  settings.wifi_password = "wifi-passw0rd";
  settings.device = "gate";
  settings.upload_host = "127.0.0.1";
  settings.upload_port = peer.port();
  settings.upload_token = "s3cret-t0ken";
  settings.view_password = "";
  return settings;
}

/// A board that runs, from power on to power off.
class Running {
 public:
  explicit Running(const Settings& settings) {
    board::power_on();
    app_ = std::make_unique<App>(settings);
    app_->setup();
    loop_ = std::thread([this] {
      try {
        for (;;) app_->loop();
      } catch (const board::Dark&) {
      }
    });
  }
  ~Running() {
    board::power_off();
    loop_.join();
  }

 private:
  std::unique_ptr<App> app_;
  std::thread loop_;
};

/// Waits for what has to come; a test that waits in vain fails after twenty seconds.
template <typename Claim>
bool comes(Claim claim) {
  for (int i = 0; i < 20000; i++) {
    if (claim()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

bool says(const std::string& words) {
  return comes([&] { return board::serial().find(words) != std::string::npos; });
}

void press(uint8_t pin = 13) {
  // Each level until it was felt, also on a machine that has other things to do: at its begin, and once it has settled.
  const auto is_felt = [pin] {
    const uint32_t before = board::pin_reads(pin);
    return comes([&] { return board::pin_reads(pin) >= before + 2; });
  };
  const auto hold = [&](bool is_low) {
    board::set_pin(pin, is_low);
    CHECK(is_felt());
    std::this_thread::sleep_for(std::chrono::milliseconds(Button::SETTLE_MS + 1));
    CHECK(is_felt());
  };
  hold(false), hold(true), hold(false);
}

/// Runs `setup` of a board that sleeps; how long it sleeps.
uint64_t run_until_asleep(const Settings& settings) {
  board::power_on();
  uint64_t slept = 0;
  try {
    App(settings).setup();
  } catch (const board::Asleep& asleep) {
    slept = asleep.for_us;
  }
  board::power_off();
  return slept;
}

Settings sleeping(const Peer& peer) {
  Settings sleeper = settings(peer);
  sleeper.serves = false;
  sleeper.period_s = 600;
  return sleeper;
}

void begin() {
  board::set_psram(true);
  board::set_wifi(true);
  board::set_camera(fresh);
  board::set_camera_fails_to_open(false);
  board::set_flash_writes(-1);
  board::erase_flash();
}

}  // namespace

TEST(the_root_says_that_the_camera_is_ready_S2_1) {
  begin();
  Peer peer;
  Running running(settings(peer));
  const board::HttpAnswer answer = board::get("/");
  EQUAL(answer.status(), std::string("200"));
  EQUAL(answer.field("Content-Type"), std::string("text/html"));
  EQUAL(answer.body(), std::string("ESP32 Camera Ready"));
}

TEST(capture_answers_with_the_picture_S2_2_S0_6) {
  begin();
  Peer peer;
  Running running(settings(peer));
  const board::HttpAnswer answer = board::get("/capture");
  EQUAL(answer.status(), std::string("200"));
  EQUAL(answer.field("Content-Type"), std::string("image/jpeg"));
  EQUAL(answer.field("Content-Disposition"), std::string("inline; filename=capture.jpg"));
  EQUAL(answer.field("Access-Control-Allow-Origin"), std::string("*"));
  CHECK(answer.field("X-Timestamp").find('.') != std::string::npos);
  // Four frames of warming up come before.
  CHECK(answer.body() == text(jpeg(4)));
  EQUAL(board::frames_out(), 0);
}

TEST(a_camera_that_gives_nothing_is_500_and_opened_anew_S2_2) {
  begin();
  Peer peer;
  std::atomic<bool> is_missing{true};
  board::set_camera([&](uint32_t call) {
    board::Frame frame = fresh(call);
    frame.is_missing = is_missing;
    return frame;
  });
  Running running(settings(peer));
  EQUAL(board::get("/capture").status(), std::string("500"));
  const uint32_t opened = board::camera_opened();
  EQUAL(board::get("/capture").status(), std::string("500"));
  CHECK(board::camera_opened() > opened);
  is_missing = false;
  EQUAL(board::get("/capture").status(), std::string("200"));
  EQUAL(board::frames_out(), 0);
}

TEST(a_board_without_a_sensor_is_500_until_it_has_one) {
  begin();
  Peer peer;
  board::set_camera_fails_to_open(true);
  Running running(settings(peer));
  EQUAL(board::get("/capture").status(), std::string("500"));
  board::set_camera_fails_to_open(false);
  EQUAL(board::get("/capture").status(), std::string("200"));
}

TEST(sizes_and_buffers_go_by_the_memory_S2_4) {
  for (const bool has_psram : {true, false}) {
    begin();
    Peer peer;
    board::set_psram(has_psram);
    Running running(settings(peer));
    EQUAL(board::get("/capture").status(), std::string("200"));
    const camera_config_t config = board::camera_config();
    CHECK(config.frame_size == (has_psram ? FRAMESIZE_UXGA : FRAMESIZE_SVGA));
    EQUAL(config.jpeg_quality, has_psram ? 10 : 12);
    EQUAL(config.fb_count, size_t{has_psram ? 2u : 1u});
    CHECK(config.fb_location == (has_psram ? CAMERA_FB_IN_PSRAM : CAMERA_FB_IN_DRAM));
    CHECK(config.grab_mode == CAMERA_GRAB_LATEST);
    CHECK(config.pixel_format == PIXFORMAT_JPEG);
  }
}

TEST(an_old_a_torn_and_an_unstamped_frame_are_thrown_away_S2_4) {
  begin();
  Peer peer;
  board::set_camera([](uint32_t call) {
    board::Frame frame = fresh(call);
    if (call == 4) frame.age_us = 60 * 1000000;
    if (call == 5) frame.bytes.resize(3000);
    return frame;
  });
  {
    Running running(settings(peer));
    CHECK(board::get("/capture").body() == text(jpeg(6)));
    // The camera is warm from now on.
    CHECK(board::get("/capture").body() == text(jpeg(7)));
  }
  board::set_camera([](uint32_t call) {
    board::Frame frame = fresh(call);
    frame.is_stamped = false;
    return frame;
  });
  Running running(settings(peer));
  const board::HttpAnswer unstamped = board::get("/capture");
  CHECK(unstamped.body() == text(jpeg(6)));
  EQUAL(unstamped.field("X-Timestamp"), std::string("(none)"));
}

TEST(pictures_ask_for_the_log_in_where_one_is_set) {
  begin();
  Peer peer;
  Settings closed = settings(peer);
  closed.view_user = "Aladdin";
  closed.view_password = "open-sesame";
  Running running(closed);
  const std::string right = "Basic QWxhZGRpbjpvcGVuLXNlc2FtZQ==";
  for (const char* page : {"/capture", "/stream"}) {
    for (const std::string& wrong : {std::string(), std::string("Basic QWxhZGRpbjo="), std::string(5000, 'x')}) {
      const board::HttpAnswer answer = board::get(page, wrong);
      EQUAL(answer.status(), std::string("401"));
      CHECK(answer.field("WWW-Authenticate").find("Basic realm=") == 0);
      CHECK(answer.text.find("\xFF\xD8") == std::string::npos);
    }
    EQUAL(board::get(page, right).status(), std::string("200"));
  }
  EQUAL(board::get("/").status(), std::string("200"));
}

TEST(the_stream_sends_part_after_part_and_other_requests_go_on_S2_3) {
  begin();
  Peer peer;
  Running running(settings(peer));
  board::Client viewer;
  const board::HttpAnswer head = viewer.get("/stream");
  EQUAL(head.status(), std::string("200"));
  EQUAL(head.field("Content-Type"), std::string("multipart/x-mixed-replace; boundary=frame"));
  viewer.take_at_most(1000);
  std::string all;
  CHECK(comes([&] {
    board::run_server_work();
    all += viewer.received();
    return all.size() > 3 * 6100;
  }));
  EQUAL(board::get("/capture").status(), std::string("200"));
  for (uint32_t which = 4; which < 7; which++) {
    CHECK(all.rfind("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 6000\r\nX-Timestamp: ", 0) == 0);
    const size_t body = all.find("\r\n\r\n") + 4;
    CHECK(all.substr(body, 6000) == text(jpeg(which)));
    EQUAL(all.substr(body + 6000, 2), std::string("\r\n"));
    all = all.substr(body + 6002);
  }
}

TEST(a_viewer_who_leaves_or_stops_reading_makes_room_and_a_third_waits) {
  begin();
  Peer peer;
  Running running(settings(peer));
  board::Client stuck;
  EQUAL(stuck.get("/stream").status(), std::string("200"));
  {
    board::Client second;
    EQUAL(second.get("/stream").status(), std::string("200"));
    EQUAL(board::get("/stream").status(), std::string("503"));
    CHECK(second.get("/stream").is_closed);
  }
  EQUAL(board::get("/stream").status(), std::string("200"));
  stuck.stop_reading();
  CHECK(comes([&] {
    board::run_server_work();
    return !stuck.is_open();
  }));
  board::Client third;
  board::Client fourth;
  EQUAL(third.get("/stream").status(), std::string("200"));
  EQUAL(fourth.get("/stream").status(), std::string("200"));
}

TEST(nobody_looking_costs_the_camera_nothing) {
  begin();
  Peer peer;
  std::atomic<int> frames{0};
  board::set_camera([&](uint32_t call) {
    frames++;
    return fresh(call);
  });
  Running running(settings(peer));
  {
    board::Client viewer;
    EQUAL(viewer.get("/stream").status(), std::string("200"));
    CHECK(comes(board::has_server_work));
  }
  for (int i = 0; i < 150; i++) {
    board::run_server_work();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EQUAL(frames.load(), 0);
}

TEST(a_press_is_a_picture_at_the_server_and_the_next_has_the_next_number) {
  begin();
  Peer peer;
  for (int i = 0; i < 2; i++) peer.then([](Stranger& stranger) { answer(stranger, "200 OK"); });
  Settings button = settings(peer);
  button.button_pin = 13;
  {
    Running running(button);
    press();
    CHECK(says("picture 1: stored, attempt 1"));
    CHECK(comes([] { return board::is_lamp_lit(); }));
    press();
    CHECK(says("picture 2: stored, attempt 1"));
    CHECK(board::serial().find("s3cret-t0ken") == std::string::npos);
    CHECK(board::serial().find("wifi-passw0rd") == std::string::npos);
    EQUAL(board::wifi_ssid(), std::string("yard"));
  }
  peer.finish();
  EQUAL(peer.requests().size(), size_t{2});
  const std::string first = peer.requests()[0].field("idempotency-key");
  CHECK(first.size() == 15 && first.substr(13) == "-1");
  EQUAL(peer.requests()[1].field("idempotency-key"), first.substr(0, 14) + "2");
  EQUAL(peer.requests()[0].field("authorization"), std::string("Bearer s3cret-t0ken"));
  CHECK(peer.requests()[0].body == text(jpeg(4)));
  CHECK(peer.requests()[1].body == text(jpeg(5)));
}

TEST(a_server_that_fails_gets_the_same_picture_again_and_presses_meanwhile_wait_for_it) {
  begin();
  Peer peer;
  std::promise<void> pressed;
  std::shared_future<void> has_pressed = pressed.get_future().share();
  peer.then([has_pressed](Stranger& stranger) {
    has_pressed.wait_for(std::chrono::seconds(20));
    answer(stranger, "507 Full");
  });
  peer.then([](Stranger& stranger) { stranger.read_some(500), stranger.reset(); });
  for (int i = 0; i < 2; i++) peer.then([](Stranger& stranger) { answer(stranger, "200 OK"); });
  Settings button = settings(peer);
  button.button_pin = 14;
  {
    Running running(button);
    press(14);
    press(14);
    pressed.set_value();
    CHECK(says("picture 1: stored, attempt 3"));
    CHECK(says("picture 2: stored, attempt 1"));
  }
  peer.finish();
  EQUAL(peer.requests().size(), size_t{3});
  EQUAL(peer.requests()[0].field("idempotency-key"), peer.requests()[1].field("idempotency-key"));
  CHECK(peer.requests()[0].body == peer.requests()[1].body);
  CHECK(peer.requests()[1].body != peer.requests()[2].body);
}

TEST(what_the_server_refuses_is_told_and_the_next_picture_goes_on) {
  begin();
  Peer peer;
  peer.then([](Stranger& stranger) { answer(stranger, "401 Unauthorized"); });
  peer.then([](Stranger& stranger) { answer(stranger, "413 Too Large"); });
  peer.then([](Stranger& stranger) { answer(stranger, "200 OK"); });
  Settings button = settings(peer);
  button.button_pin = 13;
  Running running(button);
  press();
  CHECK(says("picture 1 is lost: the server refuses this device (401, 403)"));
  press();
  CHECK(says("picture 2 is lost: the picture is larger"));
  press();
  CHECK(says("picture 3: stored"));
  peer.finish();
  EQUAL(peer.requests().size(), size_t{3});
}

TEST(a_press_without_a_camera_or_without_room_is_told) {
  begin();
  Peer peer;
  Settings button = settings(peer);
  button.button_pin = 13;
  board::set_camera_fails_to_open(true);
  {
    Running running(button);
    press();
    CHECK(says("picture 1 is lost: the camera gave no picture"));
  }
  board::set_camera_fails_to_open(false);
  board::set_psram(false);
  std::promise<void> done;
  std::shared_future<void> is_done = done.get_future().share();
  peer.then([is_done](Stranger& stranger) {
    is_done.wait_for(std::chrono::seconds(20));
    answer(stranger, "200 OK");
  });
  Running running(button);
  press();
  press();
  CHECK(says("picture 3 is lost: too many pictures wait"));
  done.set_value();
  CHECK(says("picture 2: stored"));
}

TEST(a_period_takes_pictures_while_pages_are_served) {
  begin();
  Peer peer;
  peer.then([](Stranger& stranger) { answer(stranger, "200 OK"); });
  Settings timed = settings(peer);
  timed.period_s = 600;
  Running running(timed);
  CHECK(says("picture 1: stored"));
  EQUAL(board::get("/").status(), std::string("200"));
}

TEST(a_board_with_only_a_period_takes_sends_and_sleeps) {
  begin();
  Peer peer;
  for (int i = 0; i < 2; i++) peer.then([](Stranger& stranger) { answer(stranger, "200 OK"); });
  const uint64_t slept = run_until_asleep(sleeping(peer));
  CHECK(slept > 0 && slept <= 600 * 1000000ULL);
  CHECK(board::is_held(32) && board::pin_level(32));
  CHECK(board::is_held(4) && !board::pin_level(4));
  CHECK(!board::wifi_is_on() && !board::camera_is_open() && !board::is_lamp_lit());
  // It wakes, lets go of the pins, and counts on.
  CHECK(run_until_asleep(sleeping(peer)) > 0);
  peer.finish();
  EQUAL(peer.requests().size(), size_t{2});
  const std::string first = peer.requests()[0].field("idempotency-key");
  EQUAL(peer.requests()[1].field("idempotency-key"), first.substr(0, first.size() - 1) + "2");
}

TEST(a_board_that_cannot_send_sleeps_all_the_same_and_tells_why_before) {
  begin();
  Peer peer;
  {
    board::set_wifi(false);
    CHECK(run_until_asleep(sleeping(peer)) > 0);
    CHECK(board::serial().find("picture 1 is lost: no answer") != std::string::npos);
    board::set_wifi(true);
  }
  for (int i = 0; i < 4; i++) peer.then([](Stranger& stranger) { answer(stranger, "503 Later"); });
  CHECK(run_until_asleep(sleeping(peer)) > 0);
  CHECK(board::serial().find("picture 2 is lost: the server is busy") != std::string::npos);
  board::set_camera_fails_to_open(true);
  CHECK(run_until_asleep(sleeping(peer)) > 0);
  CHECK(board::serial().find("picture 3 is lost: the camera gave no picture") != std::string::npos);
  CHECK(!board::wifi_is_on());
}

TEST(no_number_is_given_twice_whatever_the_memory_does) {
  begin();
  std::vector<std::pair<uint32_t, uint32_t>> given;
  const auto take = [&](Counter& counter) {
    const PictureId id = counter.next();
    given.emplace_back(id.series, id.number);
  };
  {
    Counter counter;
    take(counter), take(counter);
  }
  EQUAL(given[1].second, 2u);
  {
    Counter counter;
    take(counter);
    // The memory takes nothing more: a series of this start alone.
    board::set_flash_writes(0);
    take(counter), take(counter);
    board::set_flash_writes(-1);
    take(counter);
  }
  EQUAL(given[2].second, 3u);
  CHECK(given[2].first == given[1].first && given[3].first != given[1].first);
  {
    Counter counter;
    take(counter);
  }
  EQUAL(given.back().second, 4u);
  board::erase_flash();
  {
    Counter counter;
    take(counter);
  }
  CHECK(given.back().first != given[0].first);
  for (int writes = 0; writes < 4; writes++) {
    board::erase_flash();
    board::set_flash_writes(writes);
    for (int start = 0; start < 3; start++) {
      Counter counter;
      take(counter), take(counter);
    }
  }
  std::sort(given.begin(), given.end());
  CHECK(std::unique(given.begin(), given.end()) == given.end());
}
