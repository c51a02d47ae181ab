#include "check.h"

int main(int count, char** arguments) { return check::run_all(count > 1 ? arguments[1] : ""); }
