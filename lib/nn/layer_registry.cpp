#include "layer_kinds.hpp"

#include <map>
#include <mutex>

namespace lockstep {
namespace {

/// One for the process. Entries never change or go, so that pointers to them need no lock.
class LayerRegistry {
  public:
    static LayerRegistry& instance() {
        static LayerRegistry registry;
        return registry;
    }

    void add(LayerKind kind) {
        const std::string word = kind.word;
        if (word.empty() || word.find_first_of(",{} \t\r\n\v\f") != std::string::npos)
            throw UsageError("register_layer: '" + word +
                             "' cannot stand in a model text: use a word without spaces, commas and braces");
        if (!kind.make_float || !kind.make_double)
            throw UsageError("register_layer: '" + word + "' needs makers for float and double");
        const std::lock_guard lock(mutex_);
        if (kind.type && words_of_types_.contains(*kind.type))
            throw UsageError("register_layer: the layer of '" + word + "' is registered as '" +
                             words_of_types_.at(*kind.type) + "'");
        const auto type = kind.type;
        if (!kinds_.emplace(word, std::move(kind)).second)
            throw UsageError("register_layer: '" + word + "' is registered already");
        if (type) words_of_types_.emplace(*type, word);
    }

    const LayerKind* find(std::string_view word) const {
        const std::lock_guard lock(mutex_);
        const auto found = kinds_.find(word);
        return found == kinds_.end() ? nullptr : &found->second;
    }

    const std::string& word_of(std::type_index type) const {
        const std::lock_guard lock(mutex_);
        const auto found = words_of_types_.find(type);
        if (found == words_of_types_.end())
            throw UsageError(
                "a layer is added to a model that no word stands for: call register_layer first");
        return found->second;
    }

    std::string words() const {
        const std::lock_guard lock(mutex_);
        std::string all;
        for (const auto& [word, kind] : kinds_) all += (all.empty() ? "" : ", ") + word;
        return all;
    }

  private:
    LayerRegistry() {
        add_built_in_layers([this](LayerKind kind) { add(std::move(kind)); });
    }

    mutable std::mutex mutex_;
    std::map<std::string, LayerKind, std::less<>> kinds_;
    std::map<std::type_index, std::string> words_of_types_;
};

}  // namespace

void register_layer(LayerKind kind) {
    LayerRegistry::instance().add(std::move(kind));
}

const std::string& registered_word(std::type_index type) {
    return LayerRegistry::instance().word_of(type);
}

const LayerKind* find_layer_kind(std::string_view word) {
    return LayerRegistry::instance().find(word);
}

std::string known_layers() {
    return LayerRegistry::instance().words();
}

}  // namespace lockstep
