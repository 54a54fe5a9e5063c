/* strtod and printf write and read the decimal point of the process's locale. While one of these lives, it is a point
 * for this thread. (FlatBuffers' own way to do so needs functions that musl lacks.) */
#ifndef FLATDB_DECIMAL_POINT_H
#define FLATDB_DECIMAL_POINT_H

#include <clocale>
#include <cstring>
#include <new>
#include <string>

#ifndef _WIN32
#include <locale.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif
#endif

namespace flatdb {

class DecimalPoint {
 public:
  DecimalPoint() {
    if (std::strcmp(std::localeconv()->decimal_point, ".") == 0) return;
#ifdef _WIN32
    per_thread_ = _configthreadlocale(_ENABLE_PER_THREAD_LOCALE);
    before_ = std::setlocale(LC_NUMERIC, nullptr);
    std::setlocale(LC_NUMERIC, "C");
#else
    ours_ = newlocale(LC_NUMERIC_MASK, "C", locale_t(0));
    if (!ours_) throw std::bad_alloc();
    before_ = uselocale(ours_);
#endif
  }

  ~DecimalPoint() {
#ifdef _WIN32
    if (before_.empty()) return;
    std::setlocale(LC_NUMERIC, before_.c_str());
    _configthreadlocale(per_thread_);
#else
    if (!ours_) return;
    uselocale(before_);
    freelocale(ours_);
#endif
  }

  DecimalPoint(const DecimalPoint &) = delete;
  DecimalPoint &operator=(const DecimalPoint &) = delete;

 private:
#ifdef _WIN32
  int per_thread_ = 0;
  std::string before_;
#else
  locale_t ours_ = locale_t(0);
  locale_t before_ = locale_t(0);
#endif
};

}  // namespace flatdb

#endif
