#include "tests/onnx_tensor.h"

#include <fstream>
#include <iterator>
#include <stdexcept>

namespace oct::test {
namespace {

constexpr int kVarint = 0, kBytes = 2;  // wire types
constexpr int kDims = 1, kDataType = 2, kName = 8, kRawData = 9;

class Reader {
 public:
  Reader(const uint8_t* begin, const uint8_t* end) : at_(begin), end_(end) {}

  bool done() const { return at_ == end_; }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (done()) break;
      const uint8_t byte = *at_++;
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw std::runtime_error("a number is cut short");
  }

  Reader bytes() {
    const uint64_t size = varint();
    if (size > static_cast<uint64_t>(end_ - at_)) throw std::runtime_error("a field is cut short");
    at_ += size;
    return {at_ - size, at_};
  }

  std::vector<uint8_t> rest() const { return {at_, end_}; }

 private:
  const uint8_t *at_, *end_;
};

// TensorProto.DataType.
oct_dtype type_of(uint64_t data_type) {
  switch (data_type) {
    case 1: return OCT_F32;
    case 2: return OCT_U8;
    case 3: return OCT_S8;
    case 6: return OCT_S32;
    default: throw std::runtime_error("data_type " + std::to_string(data_type));
  }
}

OnnxTensor parse(Reader reader) {
  OnnxTensor t;
  while (!reader.done()) {
    const uint64_t key = reader.varint();
    const auto field = key >> 3, wire = key & 7;
    if (field == kDims && wire == kVarint)
      t.dims.push_back(static_cast<int64_t>(reader.varint()));
    else if (field == kDataType && wire == kVarint)
      t.type = type_of(reader.varint());
    else if (field == kRawData && wire == kBytes)
      t.data = reader.bytes().rest();
    else if (field == kName && wire == kBytes)
      reader.bytes();
    else
      throw std::runtime_error("field " + std::to_string(field) + " of wire type " +
                               std::to_string(wire));
  }
  return t;
}

}  // namespace

int64_t OnnxTensor::size() const {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

int OnnxTensor::first_int() const {
  return type == OCT_S8 ? static_cast<int8_t>(data.at(0)) : data.at(0);
}

OnnxTensor read_onnx_tensor(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + " cannot be opened");
  const std::vector<char> text{std::istreambuf_iterator<char>(file), {}};
  const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
  try {
    const OnnxTensor t = parse({begin, begin + text.size()});
    const size_t element = t.type == OCT_F32 || t.type == OCT_S32 ? 4 : 1;
    if (t.data.size() != static_cast<size_t>(t.size()) * element)
      throw std::runtime_error("its raw_data does not fit its dims");
    return t;
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(path + ": " + error.what());
  }
}

}  // namespace oct::test
