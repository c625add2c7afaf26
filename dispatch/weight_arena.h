// Memory for large packed weights, shared by all plans of the process.
//
// A page fault costs up to 2 us (virtual machines), most of creating a plan if weights fault in
// page by page. The arena therefore maps chunks of 2 MiB pages and places weights in them back to
// back, and has the system fill what they take in a few calls; huge pages also spare the kernels
// TLB misses. Chunks of ordinary pages come first, until plans hold enough that a huge page which
// is never filled cannot double what the process uses. A chunk goes back to the system when the
// last weights in it do.
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

  // Memory on a page boundary, whose pages the system fills when they are first touched; throws
  // std::bad_alloc.
  uint8_t* take(size_t bytes);
  // Has it fill them at once, in one call.
  static void populate(uint8_t* begin, const uint8_t* end) noexcept;
  // Keeps the first bytes of what take() returned.
  void shrink(const uint8_t* data, size_t bytes) noexcept;
  // What take() returned.
  void give_back(const uint8_t* data) noexcept;

  // Bytes of all chunks.
  size_t mapped() const;

 private:
  struct Piece {
    size_t begin, end;  // in bytes from the chunk's first
  };
  struct Chunk {
    uint8_t* data;
    size_t bytes;
    std::vector<Piece> pieces;  // by address
  };

  using Place = std::pair<std::vector<Chunk>::iterator, std::vector<Piece>::iterator>;

  static uint8_t* place(Chunk& chunk, size_t bytes);
  Place find(const uint8_t* data);
  Chunk& add_chunk(size_t bytes);

  mutable std::mutex mutex_;
  std::vector<Chunk> chunks_;
  size_t held_ = 0;  // bytes of all pieces
};

// The process's arena.
WeightArena& global_weight_arena();

}  // namespace oct
