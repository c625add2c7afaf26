// Memory for packed weights, shared by all plans of the process.
//
// A page fault costs 1 to 2 us (virtual machines), most of creating a plan if weights fault in page
// by page. The arena therefore reserves chunks of addresses for 2 MiB pages and places weights in
// them back to back, however these lie to the pages: only what they cover is filled. Huge pages
// also spare the kernels TLB misses. A small chunk of ordinary pages comes first, so that few
// weights do not take a huge page. Pages that no weights cover any more go back to the system.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace oct {

class WeightArena {
 public:
  WeightArena() = default;
  ~WeightArena();
  WeightArena(const WeightArena&) = delete;
  WeightArena& operator=(const WeightArena&) = delete;

  // Memory on a boundary of ordinary pages, which the system fills when they are first touched;
  // throws std::bad_alloc.
  uint8_t* take(size_t bytes);
  // Has it fill them at once, in one call.
  static void populate(uint8_t* begin, const uint8_t* end) noexcept;
  // Keeps the first bytes of what take() returned.
  void shrink(const uint8_t* data, size_t bytes) noexcept;
  // What take() returned.
  void give_back(const uint8_t* data) noexcept;

  // Bytes of the pages that weights cover.
  size_t mapped() const;

 private:
  struct Piece {
    size_t begin, end;  // in bytes from the chunk's first
  };
  struct Chunk {
    uint8_t* data;
    size_t bytes, page;
    std::vector<Piece> pieces;  // by address
  };

  using Place = std::pair<std::vector<Chunk>::iterator, std::vector<Piece>::iterator>;

  static uint8_t* place(Chunk& chunk, size_t bytes);
  static void release_behind(const Chunk& chunk, size_t next) noexcept;
  Place find(const uint8_t* data);
  Chunk& add_chunk(size_t bytes);

  mutable std::mutex mutex_;
  std::vector<Chunk> chunks_;
};

// The process's arena.
WeightArena& global_weight_arena();

}  // namespace oct
