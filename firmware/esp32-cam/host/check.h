// As much of a test framework as these tests need: a test is a function with a name, a check that fails says where and
// goes on.
#pragma once

#include <functional>
#include <iostream>
#include <string>
#include <vector>

namespace check {

struct Test {
  std::string name;
  void (*run)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

inline int& failed_checks() {
  static int count = 0;
  return count;
}

struct Register {
  Register(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

template <typename Left, typename Right>
void equal(const Left& left, const Right& right, const char* text, const char* file, int line) {
  if (left == right) return;
  failed_checks()++;
  std::cout << file << ':' << line << ": " << text << ": " << +left << " is not " << +right << '\n';
}

inline void equal(const std::string& left, const std::string& right, const char* text, const char* file, int line) {
  if (left == right) return;
  failed_checks()++;
  std::cout << file << ':' << line << ": " << text << ":\n" << left << "\nis not\n" << right << '\n';
}

inline void holds(bool is, const char* text, const char* file, int line) {
  if (is) return;
  failed_checks()++;
  std::cout << file << ':' << line << ": " << text << '\n';
}

/// Runs those whose name has `part`; the last lines are "# pass N" and "# fail N".
inline int run_all(const std::string& part) {
  int passed = 0;
  int failed = 0;
  for (const Test& test : tests()) {
    if (test.name.find(part) == std::string::npos) continue;
    const int before = failed_checks();
    test.run();
    const bool is_good = failed_checks() == before;
    (is_good ? passed : failed)++;
    std::cout << (is_good ? "ok " : "FAILED ") << test.name << std::endl;
  }
  std::cout << "# pass " << passed << "\n# fail " << failed << std::endl;
  return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace check

#define TEST(name)                                         \
  static void name();                                      \
  static const check::Register register_##name(#name, name); \
  static void name()
#define EQUAL(left, right) check::equal((left), (right), #left, __FILE__, __LINE__)
#define CHECK(is) check::holds((is), #is, __FILE__, __LINE__)
