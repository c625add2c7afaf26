// Memory for large packed weights, shared by all plans of the process.
//
// A page fault costs up to 2 us (virtual machines), most of creating a plan if weights fault in
// page by page. The arena therefore maps chunks of 2 MiB pages and places weights in them back to
// back, and has the system fill what they take in one call; huge pages also spare the kernels TLB
// misses. Chunks of ordinary pages come first, until plans hold enough that a huge page which is
// never filled cannot double what the process uses. A chunk goes back to the system when the last
// weights in it do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace oct {

class WeightArena {
 public:
  WeightArena() = default;
  ~WeightArena();
  WeightArena(const WeightArena&) = delete;
  WeightArena& operator=(const WeightArena&) = delete;

  // Memory on a page boundary; throws std::bad_alloc.
  uint8_t* take(size_t bytes);
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

  static uint8_t* place(Chunk& chunk, size_t bytes);
  Chunk& add_chunk(size_t bytes);

  mutable std::mutex mutex_;
  std::vector<Chunk> chunks_;
  size_t held_ = 0;  // bytes of all pieces
};

// The process's arena.
WeightArena& global_weight_arena();

}  // namespace oct
