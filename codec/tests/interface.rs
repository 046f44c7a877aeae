//! The interface, and the few parts behind it that decide by themselves.
//!
//! Not beside the code: the library would be compiled twice with every GPU kernel in it.

mod choice {
    use codec::DeviceChoice;

    #[test]
    fn every_spelling_is_read_and_written_back() {
        for (text, choice, shown) in [
            ("auto", DeviceChoice::Auto, "auto"),
            ("cpu", DeviceChoice::Cpu, "cpu"),
            ("wgpu", DeviceChoice::Wgpu(0), "wgpu:0"),
            ("wgpu:2", DeviceChoice::Wgpu(2), "wgpu:2"),
            ("cuda", DeviceChoice::Cuda(0), "cuda:0"),
            ("cuda:11", DeviceChoice::Cuda(11), "cuda:11"),
            (
                "wgpu-unfused",
                DeviceChoice::WgpuUnfused(0),
                "wgpu-unfused:0",
            ),
        ] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap(), choice);
            assert_eq!(choice.to_string(), shown);
            assert_eq!(shown.parse::<DeviceChoice>().unwrap(), choice);
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_expected_spelling() {
        for text in [
            "", "gpu", "CPU", "cpu:0", "auto:1", "wgpu:", "cuda:-1", "cuda:1:2", "wgpu:x",
        ] {
            let error = text.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(
                error.contains("auto|cpu|wgpu[:N]|cuda[:N]"),
                "{text}: {error}"
            );
        }
    }
}

mod devices {
    #[cfg(not(all(feature = "wgpu", feature = "cuda")))]
    use codec::Error;
    use codec::{Device, DeviceChoice};

    #[test]
    fn the_cpu_and_auto_always_open() {
        let cpu = Device::open(DeviceChoice::Cpu).unwrap();
        assert!(cpu.is_cpu());
        assert!(cpu.name().starts_with("cpu ("));
        let auto = Device::open(DeviceChoice::Auto).unwrap();
        assert!(!auto.reason().is_empty());
        assert_ne!(auto.choice(), DeviceChoice::Auto);
    }

    #[cfg(not(feature = "wgpu"))]
    #[test]
    fn a_backend_that_is_not_built_in_says_so() {
        let error = Device::open(DeviceChoice::Wgpu(0)).unwrap_err();
        assert!(
            matches!(&error, Error::Device { reason, .. } if reason.contains("built without wgpu")),
            "{error}"
        );
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_that_is_not_built_in_says_so() {
        let error = Device::open(DeviceChoice::Cuda(0)).unwrap_err();
        assert!(
            matches!(&error, Error::Device { reason, .. } if reason.contains("built without cuda")),
            "{error}"
        );
    }
}

mod guard {
    use codec::Error;
    use codec::internals::{depth, guard};

    // One test, since the messages are shared by the whole process.
    #[test]
    fn panics_become_errors_that_tell_the_first_reason() {
        assert_eq!(guard("gpu", || Ok(7)).unwrap(), 7);

        let error = guard::<()>("gpu", || panic!("no\n  memory")).unwrap_err();
        assert!(
            matches!(&error, Error::Device { reason, .. } if reason == "no memory"),
            "{error}"
        );

        let error = guard::<()>("gpu", || {
            let service = std::thread::Builder::new()
                .name("DSD-0-0".into())
                .spawn(|| panic!("no driver"));
            service.unwrap().join().map_err(|_| ()).expect("RecvError");
            Ok(())
        })
        .unwrap_err();
        assert!(
            matches!(&error, Error::Device { reason, .. } if reason == "no driver"),
            "{error}"
        );

        let error = guard::<()>("gpu", || Err(Error::bad_parameter("typed"))).unwrap_err();
        assert!(
            matches!(&error, Error::BadParameter(text) if text == "typed"),
            "{error}"
        );
        assert_eq!(depth(), 0);
    }
}

mod info {
    use codec::{Digest, Header, ImageInfo, header, info};
    use codec_core::container::{self, Color, Media, Profile, Section, SectionId};

    fn file(model: &str) -> Vec<u8> {
        let header = Header {
            model: model.to_owned(),
            digest: Digest::of(b"weights"),
            profile: Profile::Portable,
            quality: 4_310,
            media: Media::Image(ImageInfo {
                width: 10,
                height: 8,
                color: Color::Rgb,
                alpha: false,
                bit_depth: 8,
                tile_size: 0,
            }),
        };
        let sections = [
            Section {
                id: SectionId::IMAGE_TILE,
                data: vec![1; 100],
            },
            Section {
                id: SectionId::XMP,
                data: vec![2; 7],
            },
        ];
        container::write(&header, &sections).unwrap()
    }

    #[test]
    fn a_file_of_an_unknown_model_is_described() {
        let bytes = file("other/v9");
        let info = info(&bytes).unwrap();
        assert_eq!(info.header.model, "other/v9");
        let image = info.image().unwrap();
        assert_eq!((image.width, image.height), (10, 8));
        assert_eq!(
            (info.section_bytes("image tile"), info.section_bytes("xmp")),
            (100, 7)
        );
        assert!((info.bits_per_pixel().unwrap() - 8.0 * bytes.len() as f64 / 80.0).abs() < 1e-12);
        assert_eq!(info.weights(), codec::WeightsPlace::Unknown);
        assert_eq!(header(&bytes[..info.header_bytes]).unwrap(), info.header);
    }

    #[test]
    fn damage_is_an_error() {
        let mut bytes = file("wpmr/v1");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        assert!(info(&bytes).is_err());
    }
}

mod threads {
    use codec::{Error, set_threads};

    #[test]
    fn zero_threads_are_refused() {
        assert!(matches!(set_threads(0), Err(Error::BadParameter(_))));
    }
}

#[cfg(feature = "wgpu")]
mod wgpu {
    use burn::backend::wgpu::WgpuDevice;
    use codec::internals::wgpu::{DeviceType, in_order};
    use codec::{Device, DeviceChoice, Error};

    #[test]
    fn adapters_are_ordered_and_numbered_as_burn_numbers_them() {
        let found = [
            (DeviceType::Cpu, "soft"),
            (DeviceType::IntegratedGpu, "small"),
            (DeviceType::Other, "odd"),
            (DeviceType::DiscreteGpu, "big"),
            (DeviceType::DiscreteGpu, "bigger"),
            (DeviceType::Cpu, "soft 2"),
        ];
        let order = in_order(
            found
                .into_iter()
                .map(|(kind, name)| (kind, name.to_owned())),
        );
        let names: Vec<_> = order.iter().map(|adapter| adapter.name.as_str()).collect();
        assert_eq!(names, ["big", "bigger", "small", "soft"]);
        assert_eq!(order[1].device, WgpuDevice::DiscreteGpu(1));
        assert_eq!(order[3].index, 3);
        assert!(!order[3].is_hardware() && order[0].is_hardware());
    }

    #[test]
    fn an_adapter_that_is_not_there_is_a_typed_error() {
        let error = Device::open(DeviceChoice::Wgpu(999)).unwrap_err();
        assert!(matches!(error, Error::Device { .. }), "{error}");
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use codec::{Device, DeviceChoice, Error};

    #[test]
    fn a_device_that_is_not_there_is_a_typed_error() {
        let error = Device::open(DeviceChoice::Cuda(999)).unwrap_err();
        assert!(matches!(error, Error::Device { .. }), "{error}");
    }
}
