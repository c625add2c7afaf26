// Memory that ends where it says it ends.
//
// A GuardBuffer holds one or more rows of readable pages with unreadable pages between, before
// and after them:
//
//     | guard | body 0 | guard | body 1 | guard |
//
// Each row's data lies flush against the guard to its right or to its left, so an access one
// byte beyond that end faults. The rest of the body is for the test to compare.
//
// When a program that called report_faults() dies of a signal, it says what it was doing (the
// note: seed, kernel, shape) and, for a fault in a guard page, which buffer and which side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace oct::test {

enum class Flush { kLeft, kRight };

class GuardBuffer {
 public:
  // `row_capacity` bytes in each of `rows` rows; `name` must be a literal.
  GuardBuffer(const char* name, size_t row_capacity, int rows = 1);
  ~GuardBuffer();
  GuardBuffer(const GuardBuffer&) = delete;
  GuardBuffer& operator=(const GuardBuffer&) = delete;

  // Where `size` bytes of row 0 go: flush left (after `offset` bytes), or flush right (with the
  // start rounded down to `alignment`).
  uint8_t* left(size_t size, size_t offset = 0) const;
  uint8_t* right(size_t size, size_t alignment = 1) const;
  uint8_t* place(Flush flush, size_t size, size_t alignment = 1) const {
    return flush == Flush::kLeft ? left(size) : right(size, alignment);
  }

  size_t stride_bytes() const { return stride_; }  // from a row to the next
  uint8_t* body(int row = 0) const { return base_ + page_ + static_cast<size_t>(row) * stride_; }
  size_t body_bytes() const { return stride_ - page_; }
  int rows() const { return rows_; }

 private:
  uint8_t* base_;
  size_t page_, stride_, mapped_;
  int rows_;
};

// Prints the note and the place of the fault when the process dies of a signal.
void report_faults();

// What is being done now.
void set_fault_note(const std::string& note);

}  // namespace oct::test
