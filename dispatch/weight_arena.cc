#include "dispatch/weight_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace oct {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSmallChunk = size_t{128} << 10;
// Of addresses: what a chunk's last weights leave over is lost, up to the largest of them.
constexpr size_t kHugeChunk = 16 * kHugePage;

// MADV_POPULATE_WRITE, which older C libraries do not name; older kernels refuse it, which costs
// time only.
constexpr int kPopulateWrite = 23;

size_t round_up(size_t bytes, size_t unit) {
  size_t up;
  if (__builtin_add_overflow(bytes, unit - 1, &up)) throw std::bad_alloc();
  return up / unit * unit;
}

uint8_t* map(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<uint8_t*>(p);
}

// `bytes`, a multiple of kHugePage, on a boundary of it: what lies around is unmapped again.
uint8_t* map_huge(size_t bytes) {
  size_t room;
  if (__builtin_add_overflow(bytes, kHugePage, &room)) throw std::bad_alloc();
  uint8_t* const p = map(room);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(p) % kHugePage) % kHugePage;
  if (before) munmap(p, before);
  munmap(p + before + bytes, kHugePage - before);
  madvise(p + before, bytes, MADV_HUGEPAGE);
  return p + before;
}

}  // namespace

WeightArena::~WeightArena() {
  for (const Chunk& chunk : chunks_) munmap(chunk.data, chunk.bytes);
}

// The first gap that is large enough, or null.
uint8_t* WeightArena::place(Chunk& chunk, size_t bytes) {
  size_t begin = 0;
  auto next = chunk.pieces.begin();
  for (; next != chunk.pieces.end() && next->begin - begin < bytes; ++next) begin = next->end;
  if (next == chunk.pieces.end() && chunk.bytes - begin < bytes) return nullptr;
  chunk.pieces.insert(next, {begin, begin + bytes});
  return chunk.data + begin;
}

WeightArena::Chunk& WeightArena::add_chunk(size_t bytes) {
  const bool huge = bytes > kSmallChunk || !chunks_.empty();
  chunks_.reserve(chunks_.size() + 1);  // so that what is mapped is not lost
  const size_t size = huge ? std::max(round_up(bytes, kHugePage), kHugeChunk) : kSmallChunk;
  uint8_t* const data = huge ? map_huge(size) : map(size);
  chunks_.push_back({data, size, huge ? kHugePage : kPage, {}});
  return chunks_.back();
}

uint8_t* WeightArena::take(size_t bytes) {
  bytes = round_up(std::max<size_t>(bytes, 1), kPage);
  std::lock_guard lock(mutex_);
  for (Chunk& chunk : chunks_)
    if (uint8_t* const data = place(chunk, bytes)) return data;
  Chunk& chunk = add_chunk(bytes);
  try {
    return place(chunk, bytes);
  } catch (...) {
    munmap(chunk.data, chunk.bytes);
    chunks_.pop_back();
    throw;
  }
}

void WeightArena::populate(uint8_t* begin, const uint8_t* end) noexcept {
  uint8_t* const page = begin - reinterpret_cast<uintptr_t>(begin) % kPage;
  madvise(page, static_cast<size_t>(end - page), kPopulateWrite);
}

WeightArena::Place WeightArena::find(const uint8_t* data) {
  const auto chunk = std::find_if(chunks_.begin(), chunks_.end(), [data](const Chunk& c) {
    return data >= c.data && data < c.data + c.bytes;
  });
  const auto begin = static_cast<size_t>(data - chunk->data);
  return {chunk, std::find_if(chunk->pieces.begin(), chunk->pieces.end(),
                              [begin](const Piece& p) { return p.begin == begin; })};
}

// Gives the system the whole pages between piece `next` and the one before.
void WeightArena::release_behind(const Chunk& chunk, size_t next) noexcept {
  const size_t from = round_up(next > 0 ? chunk.pieces[next - 1].end : 0, chunk.page);
  const size_t end = next < chunk.pieces.size() ? chunk.pieces[next].begin : chunk.bytes;
  const size_t to = end / chunk.page * chunk.page;
  if (from < to) madvise(chunk.data + from, to - from, MADV_DONTNEED);
}

void WeightArena::shrink(const uint8_t* data, size_t bytes) noexcept {
  std::lock_guard lock(mutex_);
  const auto [chunk, piece] = find(data);
  piece->end = piece->begin + round_up(std::max<size_t>(bytes, 1), kPage);
  release_behind(*chunk, static_cast<size_t>(piece - chunk->pieces.begin()) + 1);
}

void WeightArena::give_back(const uint8_t* data) noexcept {
  std::lock_guard lock(mutex_);
  const auto [chunk, piece] = find(data);
  const auto next = chunk->pieces.erase(piece);
  if (!chunk->pieces.empty())
    return release_behind(*chunk, static_cast<size_t>(next - chunk->pieces.begin()));
  munmap(chunk->data, chunk->bytes);
  chunks_.erase(chunk);
}

size_t WeightArena::mapped() const {
  std::lock_guard lock(mutex_);
  size_t bytes = 0;
  for (const Chunk& chunk : chunks_) {
    size_t end = 0;
    for (const Piece& piece : chunk.pieces) {
      const size_t begin = std::max(end, piece.begin / chunk.page * chunk.page);
      end = std::max(end, round_up(piece.end, chunk.page));
      bytes += end - begin;
    }
  }
  return bytes;
}

WeightArena& global_weight_arena() {
  // Never destroyed: plans may outlive static destruction.
  static WeightArena* const arena = new WeightArena;
  return *arena;
}

}  // namespace oct
