/* Counts, and telling the caller of them some ten times a second. */
#ifndef FLATDB_METER_H
#define FLATDB_METER_H

#include "failure.h"

#include <chrono>

namespace flatdb {

class Meter {
 public:
  Meter(flatdb_counts *counts, flatdb_progress *progress, void *context)
      : counts_(counts != nullptr ? counts : &own_), progress_(progress), context_(context) {
    *counts_ = {};
  }

  flatdb_counts *operator->() { return counts_; }

  /* Cheap: call it for each record. FLATDB_STOPPED is thrown where the caller says so. */
  void tick() {
    if (progress_ == nullptr || ++calls_ % 256 != 0) return;
    look();
  }

  /* The same where calls are few. */
  void look() {
    const Clock::time_point now = Clock::now();
    if (progress_ == nullptr || now < next_) return;
    next_ = now + std::chrono::milliseconds(100);
    if (progress_(context_, counts_) != 0) fail(FLATDB_STOPPED, "stopped by the caller");
  }

  /* At the end, when there is nothing left to stop. */
  void finish() {
    if (progress_ != nullptr) progress_(context_, counts_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  flatdb_counts own_;
  flatdb_counts *counts_;
  flatdb_progress *progress_;
  void *context_;
  Clock::time_point next_;
  unsigned calls_ = 0;
};

}  // namespace flatdb

#endif
