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

/// Whether there is the record of any combination.
bool has_records(const fs::path& combinations) {
    if (!is_there(combinations)) return false;
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(combinations, error))
        if (entry.path().extension() == ".json") return true;
    return false;
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

StudyFolder::StudyFolder(const StudyOptions& options) : options_(options), path_(options.run.output) {
    if (path_.empty()) return;
    // Who is at work there says more than what is there.
    if (is_there(path_)) lock_.emplace(path_, options_.run.timeout_seconds);
    check();
}

void StudyFolder::check() const {
    const fs::path combinations = path_ / "combinations";
    const bool records = has_records(combinations);
    const bool begun = records || (is_there(combinations) && is_there(path_ / "config.cfg"));
    for (const char* name : {"checkpoint.safetensors", "metrics.jsonl"})
        if (is_there(path_ / name))
            throw UsageError(path_.string() + ": holds a run of lockstep train: name another folder");
    if (options_.run.resume) {
        if (!records && !is_there(path_ / "config.cfg"))
            throw UsageError(path_.string() + ": " + no_run_to_resume);
    } else if (begun) {
        throw UsageError(path_.string() +
                         ": holds a study already: continue it with --resume, or name another folder");
    }
}

void StudyFolder::begin() {
    if (path_.empty()) path_ = make_fresh_folder("study-" + data_title(options_.run.data));
    make_folder(path_);
    if (!lock_) {
        lock_.emplace(path_, options_.run.timeout_seconds);
        check();  // again: now that others are locked out
    }
    make_folder(path_ / "combinations");
    make_folder(path_ / "figures");
    write_if_changed(path_ / "config.cfg", configuration_text(resolved_settings(options_)));
    for (const fs::path& folder : {path_, path_ / "combinations", path_ / "figures"})
        remove_dead_partials(folder);
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

std::optional<Combination> StudyFolder::load(const CombinationPlan& plan, const Settings& settings) const {
    const fs::path file = record(plan.mode.to_string(), plan.batch_size, plan.seed);
    std::ifstream stream(file, std::ios::binary);
    if (!stream) return std::nullopt;
    const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    Combination combination = combination_from_json(text, file.string());
    const std::string changes = changes_text(combination.settings, settings);
    if (!changes.empty())
        throw UsageError(file.string() + ": was made with other settings: " + changes +
                         ". Resume with the settings of the study's config.cfg, or name another folder");
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
