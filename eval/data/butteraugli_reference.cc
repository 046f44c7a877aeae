// Butteraugli by libjxl's own library, for validate_images.py: distance and 3-norm of two raw 8-bit sRGB pictures.
//
// In a checkout of libjxl (here aea3a06e), with Highway installed and an empty gen/jxl/jxl_export.h that defines JXL_EXPORT and
// JXL_DEPRECATED as nothing:
//   g++ -O2 -std=c++17 -mavx2 -mfma -DHWY_COMPILE_ONLY_STATIC -DJXL_STATIC_DEFINE -I. -Igen -Ilib/include
//     butteraugli_reference.cc lib/jxl/butteraugli/butteraugli.cc lib/jxl/memory_manager_internal.cc lib/jxl/simd_util.cc
//     lib/jxl/image.cc lib/jxl/image_ops.cc lib/jxl/convolve_slow.cc lib/jxl/convolve_symmetric5.cc
//     lib/jxl/enc_convolve_separable5.cc -lhwy -o butteraugli_reference
//
// The library's distance map is made with the settings of its butteraugli_main (80 cd/m^2, asymmetry 1). Its 3-norm is the
// mean of the norms of order 3, 6 and 12.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "lib/jxl/butteraugli/butteraugli.h"
#include "lib/jxl/memory_manager_internal.h"

namespace {

jxl::Image3F Load(JxlMemoryManager* memory, const char* path, size_t width, size_t height) {
  std::vector<unsigned char> bytes(width * height * 3);
  FILE* file = fopen(path, "rb");
  if (!file || fread(bytes.data(), 1, bytes.size(), file) != bytes.size()) exit(2);
  fclose(file);
  auto created = jxl::Image3F::Create(memory, width, height);
  if (!created.ok()) exit(3);
  jxl::Image3F image = std::move(created).value_();
  for (size_t c = 0; c < 3; c++) {
    for (size_t y = 0; y < height; y++) {
      float* row = image.PlaneRow(c, y);
      for (size_t x = 0; x < width; x++) {
        double v = bytes[(y * width + x) * 3 + c] / 255.0;
        row[x] = v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
      }
    }
  }
  return image;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 1;
  size_t width = atoi(argv[1]), height = atoi(argv[2]);
  JxlMemoryManager memory;
  if (!jxl::MemoryManagerInit(&memory, nullptr)) return 4;
  jxl::Image3F a = Load(&memory, argv[3], width, height);
  jxl::Image3F b = Load(&memory, argv[4], width, height);
  jxl::ButteraugliParams settings;
  settings.hf_asymmetry = 1.0f;
  settings.xmul = 1.0f;
  settings.intensity_target = 80.0f;
  auto made = jxl::ButteraugliComparator::Make(a, settings);
  if (!made.ok()) return 5;
  auto comparator = std::move(made).value_();
  auto created = jxl::ImageF::Create(&memory, width, height);
  if (!created.ok()) return 3;
  jxl::ImageF map = std::move(created).value_();
  if (!comparator->Diffmap(b, map)) return 6;
  double sums[3] = {0, 0, 0};
  for (size_t y = 0; y < height; y++) {
    const float* row = map.ConstRow(y);
    for (size_t x = 0; x < width; x++) {
      double power = std::pow(static_cast<double>(row[x]), 3);
      for (double& sum : sums) {
        sum += power;
        power *= power;
      }
    }
  }
  double norm = 0;
  for (int i = 0; i < 3; i++) norm += std::pow(sums[i] / (width * height), 1.0 / (3 << i)) / 3;
  printf("%.10f %.10f\n", jxl::ButteraugliScoreFromDiffmap(map, &settings), norm);
}
