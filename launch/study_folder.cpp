#include "study_folder.hpp"

#include <lockstep/base/atomic_file.hpp>
#include <lockstep/base/error.hpp>
#include <lockstep/report/figures.hpp>
#include <lockstep/report/html_report.hpp>
#include <lockstep/report/table.hpp>
#include <lockstep/train/safetensors.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <system_error>

namespace lockstep::launch {
namespace {

namespace fs = std::filesystem;

fs::path fresh_folder(const StudyOptions& options) {
    const std::string name = "study-" + options.run.data.name;
    fs::path folder = fs::path("runs") / name;
    for (int number = 2; fs::exists(folder); ++number)
        folder = fs::path("runs") / (name + "-" + std::to_string(number));
    return folder;
}

void make_folder(const fs::path& path) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) throw FileError(path.string() + ": the output folder cannot be made: " + error.message());
}

void write_file(const fs::path& path, const std::string& text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
}

std::string epoch_name(std::size_t epoch) {
    return "epoch" + std::to_string(epoch + 1);
}

}  // namespace

StudyFolder::StudyFolder(const StudyOptions& options)
    : path_(options.run.output.empty() ? fresh_folder(options) : options.run.output) {
    if (!options.run.resume && fs::exists(path_ / "combinations"))
        throw UsageError(path_.string() +
                         ": holds a study already: continue it with --resume, or name another folder");
    make_folder(path_ / "combinations");
    make_folder(path_ / "figures");
    std::string config;
    for (const auto& [name, value] : resolved_settings(options)) config += name + " = " + value + "\n";
    write_file(path_ / "config.cfg", config);
}

fs::path StudyFolder::record(const std::string& mode, Index batch_size, std::uint64_t seed) const {
    std::string name = mode + "-b" + std::to_string(batch_size) + "-s" + std::to_string(seed) + ".json";
    std::ranges::replace(name, ':', '-');
    return path_ / "combinations" / name;
}

fs::path StudyFolder::reference(const CombinationPlan& plan) const {
    return path_ / "combinations" /
           ("sync-b" + std::to_string(plan.batch_size) + "-s" + std::to_string(plan.seed) + ".parameters");
}

std::optional<Combination> StudyFolder::load(const CombinationPlan& plan,
                                             const std::string& description) const {
    const fs::path file = record(plan.mode.to_string(), plan.batch_size, plan.seed);
    std::ifstream stream(file, std::ios::binary);
    if (!stream) return std::nullopt;
    const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    Combination combination = combination_from_json(text, file.string());
    if (combination.description != description)
        throw UsageError(file.string() + ": was made with other settings [" + combination.description +
                         "] than this study [" + description +
                         "]; resume with the settings of the study's config.cfg, or name another folder");
    return combination;
}

void StudyFolder::save(const Combination& combination) const {
    write_file(record(combination.mode, combination.batch_size, combination.seed), to_json(combination));
}

std::optional<ReferenceRun> StudyFolder::load_reference(const CombinationPlan& plan) const {
    if (!fs::exists(reference(plan))) return std::nullopt;
    const SafetensorsFile file = SafetensorsFile::read(reference(plan));
    ReferenceRun run;
    for (; file.contains(epoch_name(run.size()));) {
        const std::string name = epoch_name(run.size());
        const std::vector<Index> shape = file.at(name).shape;
        auto& parameters = run.emplace_back(shape.empty() ? 0 : static_cast<std::size_t>(shape[0]));
        file.copy_to(name, shape, parameters);
    }
    return run;
}

void StudyFolder::save_reference(const CombinationPlan& plan, const ReferenceRun& run) const {
    SafetensorsWriter writer;
    for (std::size_t epoch = 0; epoch < run.size(); ++epoch)
        writer.add(epoch_name(epoch), {static_cast<Index>(run[epoch].size())},
                   std::span<const float>(run[epoch]));
    writer.write(reference(plan));
}

void StudyFolder::remove_reference(const CombinationPlan& plan) const {
    std::error_code ignored;  // a file too many does no harm
    fs::remove(reference(plan), ignored);
}

void StudyFolder::write_results(const Study& study) const {
    write_file(path_ / "results.csv", results_csv(study));
    write_file(path_ / "results.json", to_json(study));
    const std::vector<Figure> figures = study_figures(study);
    for (const Figure& figure : figures)
        write_file(path_ / "figures" / (figure.name + ".svg"), to_svg(figure));
    write_file(path_ / "report.html", html_report(study, figures));
}

}  // namespace lockstep::launch
