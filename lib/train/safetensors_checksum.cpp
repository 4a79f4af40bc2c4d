#include "safetensors_checksum.hpp"

#include <lockstep/base/hash.hpp>

#include <sstream>
#include <vector>

namespace lockstep {
namespace {

constexpr const char* header_key = "lockstep.checksum";
constexpr const char* tensors_key = "lockstep.tensor_checksums";

void add_text(Hash64& hash, std::string_view text) {
    hash.add_value(std::uint64_t{text.size()});
    hash.add(text);
}

std::string checksum_of(const TensorEntry& entry) {
    Hash64 hash;
    hash.add(entry.bytes);
    return to_hex16(hash.value());
}

std::string checksum_of_header(std::span<const TensorEntry* const> entries, const Metadata& metadata) {
    Hash64 hash;
    for (const auto& [key, value] : metadata) {
        if (key == header_key) continue;
        add_text(hash, key);
        add_text(hash, value);
    }
    for (const TensorEntry* entry : entries) {
        add_text(hash, entry->name);
        add_text(hash, to_string(entry->type));
        hash.add_value(std::uint64_t{entry->shape.size()});
        for (const Index extent : entry->shape) hash.add_value(std::int64_t{extent});
        hash.add_value(std::uint64_t{entry->bytes.size()});
    }
    return to_hex16(hash.value());
}

std::vector<std::string> words_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    return words;
}

std::string compare(std::span<const TensorEntry* const> entries, const Metadata& metadata) {
    const auto header = metadata.find(header_key), tensors = metadata.find(tensors_key);
    if (header == metadata.end() && tensors == metadata.end()) return "";
    if (header == metadata.end() || tensors == metadata.end()) return "one of its two checksums is missing";
    if (checksum_of_header(entries, metadata) != header->second)
        return "its header does not have the checksum that it was written with";
    const std::vector<std::string> words = words_of(tensors->second);
    if (words.size() != entries.size()) return "it has not one checksum for each tensor";
    for (std::size_t i = 0; i < entries.size(); ++i)
        if (checksum_of(*entries[i]) != words[i])
            return "tensor '" + entries[i]->name + "' does not have the checksum that it was written with";
    return "";
}

}  // namespace

void add_checksums(std::span<const TensorEntry* const> entries, Metadata& metadata) {
    std::string list;
    for (const TensorEntry* entry : entries) list += (list.empty() ? "" : " ") + checksum_of(*entry);
    metadata[tensors_key] = list;
    metadata[header_key] = checksum_of_header(entries, metadata);
}

std::string find_damage(std::span<const TensorEntry* const> entries, Metadata& metadata) {
    std::string damage = compare(entries, metadata);
    metadata.erase(header_key);
    metadata.erase(tensors_key);
    return damage;
}

}  // namespace lockstep
