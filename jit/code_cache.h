// Executable memory and the cache of generated code.
//
// Code is assembled in ordinary memory, copied to a fresh mapping and then made read-execute; no
// page is ever writable and executable at once. A cache generates each key once, whatever the
// number of threads that ask; it holds the `kKeepUnused` youngest entries that no plan uses
// any more, and frees older ones, so its size stays bounded under changing shapes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace oct {

struct CodeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A block of read-execute code with its entry points.
class Code {
 public:
  // Copies `size` bytes; entries are offsets into them. `name` labels them in perf maps.
  Code(const void* bytes, size_t size, std::vector<size_t> entries, const std::string& name);
  ~Code();
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  const void* entry(size_t i) const { return base_ + entries_[i]; }
  size_t entry_count() const { return entries_.size(); }
  size_t size() const { return size_; }

 private:
  uint8_t* base_ = nullptr;
  size_t size_ = 0, mapped_ = 0;
  std::vector<size_t> entries_;
};

class CodeCache {
 public:
  static constexpr size_t kKeepUnused = 64;

  using Generate = std::function<std::shared_ptr<const Code>()>;

  // The code for `key`, calling `generate` at most once per key held. Waits if another thread is
  // generating. Exceptions of `generate` pass through and leave no entry.
  std::shared_ptr<const Code> get(const std::string& key, const Generate& generate);

  // How many times `generate` ran, and how many entries are held.
  uint64_t generated() const;
  size_t entries() const;

 private:
  void trim();

  mutable std::mutex mutex_;
  std::list<std::pair<std::string, std::shared_ptr<const Code>>> lru_;  // youngest first
  std::unordered_map<std::string, decltype(lru_)::iterator> index_;
  uint64_t generated_ = 0;
};

// The process's cache, shared by all contexts.
CodeCache& global_code_cache();

}  // namespace oct
