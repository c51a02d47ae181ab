// What is decided without a board and without a network.
#include <climits>
#include <cstring>
#include <random>
#include <set>
#include <thread>

#include "../src/logic/answer.h"
#include "../src/logic/button.h"
#include "../src/logic/duty.h"
#include "../src/logic/lamp.h"
#include "../src/logic/login.h"
#include "../src/logic/outbox.h"
#include "../src/logic/picture.h"
#include "../src/logic/request.h"
#include "../src/logic/retry.h"
#include "../src/logic/settings.h"
#include "../src/logic/stream.h"
#include "check.h"

using namespace cam;

namespace {

Outcome answered(uint16_t status, uint32_t retry_after_s = 0) {
  Outcome outcome;
  outcome.is_answered = true;
  outcome.status = status;
  outcome.retry_after_s = retry_after_s;
  return outcome;
}

Decision decide_first(const Outcome& outcome) { return decide(outcome, 1, 0, 0, PATIENCE_AWAKE); }

Outcome read(const std::string& text, size_t piece, bool ends = true) {
  AnswerReader reader;
  for (size_t at = 0; at < text.size(); at += piece) {
    const std::string part = text.substr(at, piece);
    reader.feed(reinterpret_cast<const uint8_t*>(part.data()), part.size());
  }
  if (ends) reader.end();
  return reader.outcome();
}

std::vector<uint8_t> jpeg(size_t length) {
  std::vector<uint8_t> bytes(length, 0x55);
  bytes[0] = 0xFF, bytes[1] = 0xD8, bytes[2] = 0xFF, bytes[3] = 0xE0;
  bytes[length - 2] = 0xFF, bytes[length - 1] = 0xD9;
  return bytes;
}

}  // namespace

// ---- what answers mean

TEST(only_200_is_stored) {
  for (unsigned status = 100; status <= 599; status++) {
    const Decision decision = decide_first(answered(static_cast<uint16_t>(status)));
    CHECK((decision.step == Step::Stored) == (status == 200));
  }
}

TEST(what_may_be_tried_again_is_no_answer_408_429_and_5xx) {
  CHECK(decide_first(Outcome{}).step == Step::Again);
  for (unsigned status = 201; status <= 599; status++) {
    const bool may = status == 408 || status == 429 || status >= 500;
    CHECK((decide_first(answered(static_cast<uint16_t>(status))).step == Step::Again) == may);
  }
}

TEST(what_is_refused_is_told_by_its_reason_and_given_up) {
  const std::pair<uint16_t, Failure> table[] = {
      {401, Failure::Token},   {403, Failure::Token},   {413, Failure::TooLarge}, {415, Failure::Picture},
      {422, Failure::Picture}, {400, Failure::Address}, {404, Failure::Address},  {302, Failure::Address},
      {201, Failure::Address}, {405, Failure::Address},
  };
  for (const auto& [status, failure] : table) {
    const Decision decision = decide_first(answered(status));
    CHECK(decision.step == Step::GiveUp);
    CHECK(decision.failure == failure);
  }
}

TEST(a_200_that_says_no_or_is_a_page_is_not_stored) {
  Outcome no = answered(200);
  no.says_no = true;
  CHECK(decide_first(no).step == Step::GiveUp);
  CHECK(decide_first(no).failure == Failure::Picture);
  Outcome page = answered(200);
  page.is_page = true;
  CHECK(decide_first(page).failure == Failure::Address);
}

TEST(a_full_disk_is_tried_again_and_told_as_busy_at_the_end) {
  const Decision last = decide(answered(507), PATIENCE_AWAKE.attempts_max, 0, 0, PATIENCE_AWAKE);
  CHECK(decide_first(answered(507)).step == Step::Again);
  CHECK(last.step == Step::GiveUp);
  CHECK(last.failure == Failure::Busy);
  CHECK(decide(Outcome{}, PATIENCE_AWAKE.attempts_max, 0, 0, PATIENCE_AWAKE).failure == Failure::NoAnswer);
}

TEST(pauses_grow_to_a_minute_with_half_of_them_left_to_chance) {
  uint32_t step = BACKOFF_FIRST_MS;
  for (uint32_t attempts = 1; attempts < 40; attempts++) {
    EQUAL(backoff_ms(attempts, 0), step / 2);
    EQUAL(backoff_ms(attempts, step / 2), step);
    std::mt19937 random(attempts);
    std::set<uint32_t> seen;
    for (int i = 0; i < 200; i++) {
      const uint32_t wait = backoff_ms(attempts, static_cast<uint32_t>(random()));
      CHECK(wait >= step / 2 && wait <= step);
      seen.insert(wait);
    }
    CHECK(seen.size() > 50);
    step = step * 2 < BACKOFF_MAX_MS ? step * 2 : BACKOFF_MAX_MS;
  }
  CHECK(backoff_ms(UINT32_MAX, UINT32_MAX) <= BACKOFF_MAX_MS);
}

TEST(retry_after_is_kept_to_but_not_for_ever) {
  for (const uint16_t status : {uint16_t{429}, uint16_t{503}}) {
    for (const uint32_t random : {0u, 999u, UINT32_MAX}) {
      const Decision decision = decide(answered(status, 30), 1, 0, random, PATIENCE_AWAKE);
      CHECK(decision.step == Step::Again);
      CHECK(decision.wait_ms >= 30000 && decision.wait_ms < 31000);
    }
  }
  const Decision huge = decide(answered(429, UINT32_MAX), 1, 0, UINT32_MAX, PATIENCE_AWAKE);
  CHECK(huge.step == Step::Again);
  CHECK(huge.wait_ms >= RETRY_AFTER_MAX_MS && huge.wait_ms < RETRY_AFTER_MAX_MS + 1000);
  // What a board on a battery cannot wait for is not waited for.
  CHECK(decide(answered(429, 90), 1, 0, 0, PATIENCE_BETWEEN_SLEEPS).step == Step::GiveUp);
}

TEST(no_picture_is_tried_for_longer_than_there_is_patience) {
  std::mt19937 random(7);
  for (int story = 0; story < 2000; story++) {
    const Patience& patience = story % 2 ? PATIENCE_AWAKE : PATIENCE_BETWEEN_SLEEPS;
    uint32_t attempts = 0;
    uint32_t elapsed = 0;
    for (;;) {
      attempts++;
      const Outcome outcome =
          random() % 3 ? Outcome{} : answered(random() % 2 ? 503 : 429, static_cast<uint32_t>(random()) % 200);
      elapsed += static_cast<uint32_t>(random()) % 5000;
      const Decision decision = decide(outcome, attempts, elapsed, static_cast<uint32_t>(random()), patience);
      if (decision.step == Step::GiveUp) break;
      CHECK(elapsed + decision.wait_ms <= patience.elapsed_max_ms);
      elapsed += decision.wait_ms;
    }
    CHECK(attempts <= patience.attempts_max);
  }
}

TEST(every_failure_has_words_of_its_own) {
  std::set<std::string> seen;
  for (uint8_t failure = 0; failure <= static_cast<uint8_t>(Failure::Waiting); failure++) {
    seen.insert(words(static_cast<Failure>(failure)));
  }
  EQUAL(seen.size(), size_t{9});
  EQUAL(std::string(words(static_cast<Failure>(200))), std::string("unknown failure"));
}

// ---- reading answers

TEST(an_answer_reads_the_same_however_it_is_cut) {
  const std::string text =
      "HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 429 Too Many Requests\r\nRETRY-AFTER:  17 \r\n"
      "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
  for (size_t piece = 1; piece <= text.size(); piece++) {
    const Outcome outcome = read(text, piece);
    CHECK(outcome.is_answered);
    EQUAL(outcome.status, 429);
    EQUAL(outcome.retry_after_s, 17u);
  }
}

TEST(answers_of_odd_servers_are_understood) {
  EQUAL(read("HTTP/1.0 200\n\n", 64).status, 200);
  EQUAL(read("HTTP/1.1 503 \r\n\r\n", 64).status, 503);
  EQUAL(read("HTTP/1.1 200 OK\r\nX-Long: " + std::string(3000, 'a') + "\r\n\r\n", 64).status, 200);
  // A date needs a clock, which the board has not: then it is the usual pause.
  const Outcome dated = read("HTTP/1.1 503 No\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n", 64);
  CHECK(dated.is_answered);
  EQUAL(dated.retry_after_s, 0u);
  EQUAL(read("HTTP/1.1 429 No\r\nRetry-After: 99999999999999999999\r\n\r\n", 64).retry_after_s, UINT32_MAX);
  EQUAL(read("HTTP/1.1 429 No\r\nRetry-After: -5\r\n\r\n", 64).retry_after_s, 0u);
}

TEST(what_is_no_whole_head_is_no_answer) {
  for (const std::string text :
       {"", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 042 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "\r\n\r\n"}) {
    CHECK(!read(text, 3).is_answered);
  }
}

TEST(endless_heads_and_bodies_end) {
  AnswerReader head;
  const std::string line = "A: b\r\n";
  head.feed(reinterpret_cast<const uint8_t*>("HTTP/1.1 200 OK\r\n"), 17);
  for (int i = 0; i < 3000 && !head.is_done(); i++) head.feed(reinterpret_cast<const uint8_t*>(line.data()), 6);
  CHECK(head.is_done());
  CHECK(!head.outcome().is_answered);
  AnswerReader interim;
  const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
  for (int i = 0; i < 3000 && !interim.is_done(); i++) {
    interim.feed(reinterpret_cast<const uint8_t*>(go_on.data()), go_on.size());
  }
  CHECK(interim.is_done());
  AnswerReader body;
  body.feed(reinterpret_cast<const uint8_t*>("HTTP/1.1 200 OK\r\n\r\n"), 19);
  for (int i = 0; i < 3000 && !body.is_done(); i++) body.feed(reinterpret_cast<const uint8_t*>(line.data()), 6);
  CHECK(body.is_done());
  CHECK(body.outcome().is_answered);
}

TEST(a_success_is_taken_back_by_its_body) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
  CHECK(read(head + "{\"success\" :\n false, \"message\":\"full\"}", 5).says_no);
  CHECK(!read(head + "{\"success\":true,\"filename\":\"a.jpg\"}", 5).says_no);
  CHECK(!read(head + "{\"success\"", 5).says_no);
  CHECK(!read(head + "\"success\":", 5).says_no);
  const std::string html = "HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=utf-8\r\n\r\n";
  CHECK(read(html + " \n<!DOCTYPE html><title>Log in</title>", 7).is_page);
  // Flask calls a bare word HTML.
  CHECK(!read(html + "OK", 7).is_page);
}

TEST(a_200_is_done_with_its_announced_length_and_without_the_connection_closing) {
  AnswerReader reader;
  const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"success\":true}";
  reader.feed(reinterpret_cast<const uint8_t*>(text.data()), text.size() - 1);
  CHECK(reader.has_head() && !reader.is_done());
  reader.feed(reinterpret_cast<const uint8_t*>(text.data()) + text.size() - 1, 1);
  CHECK(reader.is_done());
}

TEST(no_bytes_whatever_break_the_reader) {
  std::mt19937 random(11);
  const std::string seeds[] = {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nRetry-After: 1\r\n\r\n{\"success\":false}",
                               "HTTP/1.1 100 C\r\n\r\nHTTP/1.0 507 Full\nContent-Type: text/html\n\n<html>"};
  for (int round = 0; round < 20000; round++) {
    std::string text = seeds[random() % 2];
    for (unsigned edits = 1 + random() % 6; edits > 0; edits--) {
      const size_t at = random() % (text.size() + 1);
      switch (random() % 3) {
        case 0: text.insert(at, 1 + random() % 200, static_cast<char>(random())); break;
        case 1: text.erase(at, random() % 20); break;
        default:
          if (at < text.size()) text[at] = static_cast<char>(random());
      }
    }
    const Outcome whole = read(text, text.size() + 1);
    const Outcome cut = read(text, 1 + random() % 9);
    CHECK(whole.is_answered == cut.is_answered && whole.status == cut.status && whole.says_no == cut.says_no &&
          whole.retry_after_s == cut.retry_after_s && whole.is_page == cut.is_page);
  }
}

// ---- the request

TEST(the_request_is_a_raw_jpeg_with_its_length_S3_5_mended) {
  Settings settings;
  settings.device = "gate";
  settings.upload_host = "192.168.1.10";
  settings.upload_port = 5000;
  char head[HEAD_MAX];
  const size_t length = request_head(head, sizeof head, settings, {0x5f3a9c01, 124}, 54321);
  EQUAL(std::string(head, length), std::string("POST /upload HTTP/1.1\r\n"
                                               "Host: 192.168.1.10:5000\r\n"
                                               "Content-Type: image/jpeg\r\n"
                                               "Content-Length: 54321\r\n"
                                               "Content-Disposition: attachment; "
                                               "filename=\"gate_5f3a9c01_000124.jpg\"\r\n"
                                               "Idempotency-Key: gate-5f3a9c01-124\r\n"
                                               "Connection: close\r\n"
                                               "\r\n"));
  settings.upload_token = "s3cret";
  const size_t with_token = request_head(head, sizeof head, settings, {1, 2}, 3);
  CHECK(std::string(head, with_token).find("\r\nAuthorization: Bearer s3cret\r\n") != std::string::npos);
}

TEST(the_longest_settings_fit_and_what_does_not_fit_is_not_cut) {
  const std::string host(253, 'h');
  const std::string path = "/" + std::string(127, 'p');
  const std::string token(TOKEN_MAX, 't');
  const std::string device(32, 'd');
  Settings settings;
  settings.device = device.c_str();
  settings.upload_host = host.c_str();
  settings.upload_path = path.c_str();
  settings.upload_token = token.c_str();
  settings.upload_port = 65535;
  CHECK(is_device(settings.device) && is_host(settings.upload_host) && is_path(settings.upload_path));
  char head[HEAD_MAX];
  const size_t length = request_head(head, sizeof head, settings, {UINT32_MAX, UINT32_MAX}, SIZE_MAX);
  CHECK(length > 0);
  for (size_t room = 0; room <= length; room++) {
    EQUAL(request_head(head, room, settings, {UINT32_MAX, UINT32_MAX}, SIZE_MAX), size_t{0});
  }
}

TEST(settings_that_would_end_a_line_or_mean_something_else_are_refused) {
  CHECK(is_device("gate-1_B") && !is_device("") && !is_device("a b") && !is_device("../x") && !is_device("a\r\nb"));
  CHECK(!is_device("123456789012345678901234567890123"));
  CHECK(is_host("camera-box.local") && is_host("10.0.0.1") && is_host(""));
  CHECK(!is_host("http://10.0.0.1") && !is_host("10.0.0.1:80") && !is_host("a/b") && !is_host("a b"));
  CHECK(is_path("/upload") && is_path("/a?b=c") && !is_path("upload") && !is_path("/a b") && !is_path("/a\r\nX: y"));
  CHECK(is_visible("abc.~", 10) && !is_visible("a\nb", 10) && !is_visible("\x80", 10) && !is_visible("abcdef", 5));
  CHECK(is_button_pin(-1) && is_button_pin(13) && is_button_pin(14) && !is_button_pin(12) && !is_button_pin(0));
  CHECK(is_period(0) && is_period(5) && !is_period(4) && is_period(864000) && !is_period(864001));
  CHECK(is_passphrase("") && is_passphrase("12345678") && !is_passphrase("1234567"));
  CHECK(does_something(false, true, 0, -1) && does_something(true, false, 60, -1));
  CHECK(does_something(true, false, 0, 13));
  CHECK(!does_something(true, false, 0, -1) && !does_something(false, false, 60, -1));
  CHECK(has_somewhere_to_push(false, 0, -1) && has_somewhere_to_push(true, 60, 13));
  CHECK(!has_somewhere_to_push(false, 60, -1) && !has_somewhere_to_push(false, 0, 13));
}

// ---- pictures

TEST(a_resend_has_the_same_name_and_no_two_pictures_share_one) {
  char name[64];
  char again[64];
  CHECK(file_name(name, sizeof name, "gate", {0xA, 7}) > 0 && file_name(again, sizeof again, "gate", {0xA, 7}) > 0);
  EQUAL(std::string(name), std::string(again));
  EQUAL(std::string(name), std::string("gate_0000000a_000007.jpg"));
  std::set<std::string> seen;
  for (const uint32_t series : {0u, 1u, 0x10u, UINT32_MAX}) {
    for (const uint32_t number : {0u, 1u, 10u, 999999u, 1000000u, UINT32_MAX}) {
      file_name(name, sizeof name, "gate", {series, number});
      picture_key(again, sizeof again, "gate", {series, number});
      seen.insert(name);
      seen.insert(again);
    }
  }
  EQUAL(seen.size(), size_t{48});
  EQUAL(file_name(name, 10, "gate", {1, 1}), size_t{0});
}

TEST(only_a_jpeg_from_its_begin_to_its_end_is_a_picture) {
  std::vector<uint8_t> bytes = jpeg(100);
  EQUAL(whole_jpeg(bytes.data(), bytes.size()), size_t{100});
  std::vector<uint8_t> padded = bytes;
  padded.resize(130, 0);
  EQUAL(whole_jpeg(padded.data(), padded.size()), size_t{100});
  for (size_t cut = 0; cut < bytes.size(); cut++) EQUAL(whole_jpeg(bytes.data(), cut), size_t{0});
  bytes[1] = 0;
  EQUAL(whole_jpeg(bytes.data(), bytes.size()), size_t{0});
  EQUAL(whole_jpeg(nullptr, 100), size_t{0});
  const std::vector<uint8_t> zeros(50, 0);
  EQUAL(whole_jpeg(zeros.data(), zeros.size()), size_t{0});
}

TEST(time_stamps_are_seconds_and_six_digits) {
  char text[32];
  time_stamp(text, sizeof text, 12000345);
  EQUAL(std::string(text), std::string("12.000345"));
  time_stamp(text, sizeof text, -5);
  EQUAL(std::string(text), std::string("0.000000"));
}

TEST(a_frame_from_before_it_was_wanted_is_thrown_away_S2_4) {
  CHECK(shows_now(5, 5, 0) && shows_now(6, 5, 0) && !shows_now(4, 5, 0) && !shows_now(4, 5, 9));
  CHECK(!shows_now(0, 5, 0) && !shows_now(0, 5, 1) && shows_now(0, 5, 2));
}

TEST(a_part_of_the_stream_tells_its_length_S2_3) {
  char head[160];
  const size_t length = part_head(head, sizeof head, 4321, 1500000);
  EQUAL(std::string(head, length), std::string("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 4321\r\n"
                                               "X-Timestamp: 1.500000\r\n\r\n"));
  EQUAL(part_head(head, 20, 4321, 0), size_t{0});
}

// ---- contact, time, lamp

TEST(a_contact_that_bounces_is_one_press) {
  Button button;
  int presses = 0;
  uint32_t now = UINT32_MAX - 300;  // the counter wraps on the way
  const auto hold = [&](bool is_down, uint32_t ms) {
    for (uint32_t i = 0; i < ms; i += 2, now += 2) presses += button.update(is_down, now);
  };
  hold(false, 100);
  for (int bounce = 0; bounce < 5; bounce++) hold(true, 6), hold(false, 4);
  hold(true, 400);
  EQUAL(presses, 1);
  for (int bounce = 0; bounce < 5; bounce++) hold(false, 6), hold(true, 4);
  hold(false, 100);
  EQUAL(presses, 1);
  hold(true, 40);
  EQUAL(presses, 2);
}

TEST(a_spike_is_no_press_and_neither_is_a_contact_closed_at_the_start) {
  Button button;
  int presses = 0;
  uint32_t now = 0;
  for (int i = 0; i < 100; i++, now += 5) presses += button.update(true, now);
  EQUAL(presses, 0);
  for (int i = 0; i < 20; i++, now += 5) presses += button.update(false, now);
  for (int spike = 0; spike < 20; spike++) {
    for (int i = 0; i < 5; i++, now += 5) presses += button.update(true, now);
    for (int i = 0; i < 20; i++, now += 5) presses += button.update(false, now);
  }
  EQUAL(presses, 0);
  const uint32_t pressed = now;
  for (int i = 0; i < 20; i++, now += 5) presses += button.update(true, now);
  EQUAL(presses, 1);
  EQUAL(button.since_ms(), pressed);
}

TEST(only_a_board_with_nothing_but_a_period_sleeps) {
  Settings settings;
  settings.upload_host = "box";
  settings.serves = false;
  settings.period_s = 60;
  CHECK(duty_of(settings) == Duty::SleepBetween);
  Settings serving = settings;
  serving.serves = true;
  CHECK(duty_of(serving) == Duty::Awake);
  Settings button = settings;
  button.button_pin = 13;
  CHECK(duty_of(button) == Duty::Awake);
  settings.period_s = 0;
  CHECK(duty_of(settings) == Duty::Awake);
}

TEST(sleep_keeps_the_period_and_is_never_none) {
  EQUAL(sleep_us(60, 0), uint64_t{60000000});
  EQUAL(sleep_us(60, 7000), uint64_t{53000000});
  EQUAL(sleep_us(60, 59500), uint64_t{1000000});
  EQUAL(sleep_us(60, 60000), uint64_t{60000000});
  EQUAL(sleep_us(60, 67000), uint64_t{53000000});
  EQUAL(sleep_us(864000, 0), uint64_t{864000000000});
  for (uint64_t awake = 0; awake < 200000; awake += 37) {
    const uint64_t sleep = sleep_us(7, awake);
    CHECK(sleep >= 1000000 && sleep <= 7000000);
  }
}

TEST(the_period_of_a_waking_board_keeps_its_rhythm_over_the_wrap_of_the_clock) {
  Period period(10);
  uint32_t now = UINT32_MAX - 25000;
  CHECK(period.is_due(now));
  int due = 0;
  for (int i = 0; i < 600; i++, now += 100) due += period.is_due(now);
  EQUAL(due, 5);
  CHECK(period.is_due(now + 35000));
  CHECK(!period.is_due(now + 39999));
  // A loop that comes round late each time loses nothing.
  Period late(10);
  int pictures = 0;
  for (uint32_t ms = 0; ms < 1000000; ms += 1300) pictures += late.is_due(ms);
  EQUAL(pictures, 100);
  Period none(0);
  CHECK(!none.is_due(0) && !none.is_due(UINT32_MAX));
}

TEST(the_lamp_blinks_the_number_of_the_failure) {
  for (uint8_t failure = 1; failure <= static_cast<uint8_t>(Failure::Waiting); failure++) {
    int rises = 0;
    bool was = false;
    for (uint32_t ms = 0; ms < FAILED_ONCE_MS; ms += 10) {
      const bool is = is_lit(Signal::Failed, static_cast<Failure>(failure), ms);
      rises += is && !was;
      was = is;
    }
    EQUAL(rises, 1 + failure);
    CHECK(!is_lit(Signal::Failed, static_cast<Failure>(failure), FAILED_ONCE_MS - 1));
  }
}

TEST(the_lamp_tells_the_last_that_happened_then_how_things_stand) {
  Lamp lamp;
  CHECK(lamp.is_lit(0, false));
  lamp.show(Signal::Stored, Failure::None, 1000);
  CHECK(lamp.is_lit(1000 + STORED_MS - 1, true));
  CHECK(lamp.is_lit(1000 + STORED_MS, true));  // the first spark of "ready"
  CHECK(!lamp.is_lit(1000 + STORED_MS + 500, true));
  int changes = 0;
  bool was = false;
  for (uint32_t ms = 5000; ms < 6000; ms += 10) {
    const bool is = lamp.is_lit(ms, false);
    changes += is != was;
    was = is;
  }
  CHECK(changes >= 9);
}

TEST(a_failure_is_told_for_a_minute_also_when_other_pictures_arrive) {
  Lamp lamp;
  const auto rises = [&](uint32_t from) {
    int count = 0;
    bool was = true;
    for (uint32_t ms = from; ms < from + FAILED_ONCE_MS; ms += 10) {
      const bool is = lamp.is_lit(ms, true);
      count += is && !was;
      was = is;
    }
    return count;
  };
  lamp.show(Signal::Failed, Failure::Token, 10000);
  EQUAL(rises(10000), static_cast<int>(Failure::Token));
  lamp.show(Signal::Working, Failure::None, 20000);
  CHECK(lamp.is_lit(20000, true));
  lamp.show(Signal::Stored, Failure::None, 21000);
  lamp.is_lit(21000 + STORED_MS, true);
  EQUAL(rises(21000 + STORED_MS), static_cast<int>(Failure::Token));
  lamp.is_lit(10000 + FAILED_MS, true);
  EQUAL(rises(10000 + FAILED_MS + 1000), 1);  // the spark of "ready"
}

// ---- waiting, log-in

TEST(pictures_leave_in_their_order_and_no_more_wait_than_there_is_room_for) {
  Outbox outbox(3);
  const std::vector<uint8_t> bytes = jpeg(20);
  const auto made = [&](uint32_t number) {
    Picture picture(bytes.data(), bytes.size(), 0);
    picture.id.number = number;
    return picture;
  };
  CHECK(outbox.first() == nullptr);
  outbox.drop_first();
  uint32_t next = 0;
  uint32_t expected = 0;
  for (int round = 0; round < 50; round++) {
    while (outbox.has_room()) {
      Picture picture = made(next++);
      CHECK(outbox.put(picture));
      CHECK(picture.bytes == nullptr);
    }
    Picture refused = made(999);
    CHECK(!outbox.put(refused));
    CHECK(refused.bytes != nullptr);
    EQUAL(outbox.first()->id.number, expected++);
    outbox.drop_first();
  }
}

TEST(a_picture_is_sent_while_others_come) {
  Outbox outbox;
  const std::vector<uint8_t> bytes = jpeg(2000);
  std::thread taking([&] {
    for (uint32_t number = 0; number < 300;) {
      Picture picture(bytes.data(), bytes.size(), 0);
      picture.id.number = number;
      if (outbox.put(picture)) number++;
      std::this_thread::yield();
    }
  });
  for (uint32_t number = 0; number < 300;) {
    const Picture* picture = outbox.first();
    if (picture == nullptr) {
      std::this_thread::yield();
      continue;
    }
    EQUAL(picture->id.number, number++);
    EQUAL(whole_jpeg(picture->bytes.get(), picture->length), size_t{2000});
    outbox.drop_first();
  }
  taking.join();
}

TEST(a_log_in_is_what_browsers_send) {
  char header[200];
  // RFC 7617, 2.
  CHECK(basic_login(header, sizeof header, "Aladdin", "open sesame") > 0);
  EQUAL(std::string(header), std::string("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
  CHECK(basic_login(header, sizeof header, "a", "b") > 0);
  EQUAL(std::string(header), std::string("Basic YTpi"));
  CHECK(basic_login(header, sizeof header, "", "\xFF\xFE") > 0);
  EQUAL(std::string(header), std::string("Basic Ov/+"));
  CHECK(is_login("Basic YTpi", "Basic YTpi"));
  for (const char* wrong : {"", "Basic YTp", "Basic YTpiX", "Basic YTpj", "basic YTpi"}) {
    CHECK(!is_login(wrong, "Basic YTpi"));
  }
  EQUAL(basic_login(header, 10, "a", "b"), size_t{0});
  EQUAL(basic_login(header, 11, "a", "b"), size_t{10});
}
