#include <lockstep/base/error.hpp>
#include <lockstep/train/checkpoint.hpp>
#include <lockstep/train/weights.hpp>

#include <charconv>

namespace lockstep {
namespace {

constexpr const char* description_key = "lockstep.run";
constexpr const char* epoch_key = "lockstep.epoch";
constexpr const char* optimizer_steps_key = "lockstep.optimizer_steps";

std::string optimizer_array(std::string_view name) {
    return std::string(optimizer_prefix) + std::string(name);
}

const std::string& metadata(const SafetensorsFile& file, const char* key) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end())
        throw FileError(file.path().string() + ": is no checkpoint of a run: its metadata has no '" + key +
                        "'; to start from its weights use --init-from");
    return found->second;
}

Index count_of(const SafetensorsFile& file, const char* key) {
    const std::string& text = metadata(file, key);
    Index value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 0)
        throw FileError(file.path().string() + ": is damaged: metadata '" + key + "' is '" + text +
                        "', not a count");
    return value;
}

}  // namespace

template <class Scalar>
void save_weights(const Network<Scalar>& network, const std::filesystem::path& path) {
    SafetensorsWriter writer;
    add_weights(network, writer);
    writer.write(path);
}

template <class Scalar>
void save_checkpoint(Trainer<Scalar>& trainer, const std::string& description,
                     const std::filesystem::path& path) {
    SafetensorsWriter writer;
    add_weights(trainer.network(), writer);
    for (const auto& state : trainer.optimizer().state())
        writer.add(optimizer_array(state.name), {static_cast<Index>(state.values.size())}, state.values);
    writer.set_metadata(description_key, description);
    writer.set_metadata(epoch_key, std::to_string(trainer.epoch()));
    writer.set_metadata(optimizer_steps_key, std::to_string(trainer.optimizer().step_count()));
    writer.write(path);
}

template <class Scalar>
void load_checkpoint(Trainer<Scalar>& trainer, const std::string& description,
                     const std::filesystem::path& path) {
    const SafetensorsFile file = SafetensorsFile::read(path);
    if (metadata(file, description_key) != description)
        throw FileError(path.string() + ": belongs to a run with other settings: it was written for [" +
                        metadata(file, description_key) + "], this run is [" + description +
                        "]; resume with the settings of the run's config.cfg");
    const Index epoch = count_of(file, epoch_key);
    const Index steps = count_of(file, optimizer_steps_key);
    for (const auto& state : trainer.optimizer().state()) {
        const Index length = static_cast<Index>(state.values.size());
        file.copy_to(optimizer_array(state.name), std::span(&length, 1), state.values);
    }
    load_weights(file, trainer.network());
    trainer.optimizer().set_step_count(steps);
    trainer.set_epoch(epoch);
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                                  \
    template LOCKSTEP_EXPORT void save_weights(const Network<Scalar>&, const std::filesystem::path&); \
    template LOCKSTEP_EXPORT void save_checkpoint(Trainer<Scalar>&, const std::string&,               \
                                                  const std::filesystem::path&);                      \
    template LOCKSTEP_EXPORT void load_checkpoint(Trainer<Scalar>&, const std::string&,               \
                                                  const std::filesystem::path&)

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
