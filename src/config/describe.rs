//! The effective configuration as an environment file, with secrets hidden.

use std::ops::RangeInclusive;

use super::address::shown_url;
use super::lines::{Lines, TargetLines, quoted};
use super::values::word;
use super::variables::own_name;
use super::{
    Around, CameraConfig, CameraEngine, Config, Credentials, Flush, IngestConfig, SourceConfig,
    StreamingConfig, Trust, UploadConfig, WebAccess, camera, engine, gpio, lane, log,
};
use crate::model::{TargetId, TargetKind};

impl Config {
    /// Every setting as a `NAME=value` line that could be read back. What is secret stands in a comment that says it
    /// is set; reading the lines back gives the same configuration without the secrets.
    pub fn describe(&self) -> String {
        let mut lines = Lines::default();
        for camera in &self.cameras {
            describe_camera(&mut lines, camera);
        }
        lines.set("DECODER", word(engine::DECODERS, &self.engine.decoder));
        lines.set("DECODE_BUDGET_PERCENT", self.engine.budget_percent);
        lines.set("ARM_SECONDS", self.engine.arm.as_secs());
        lines.set("GPIO_ENABLED", self.gpio.enabled);
        lines.set("GPIO_TRIGGER_ENABLED", self.gpio.trigger_enabled);
        lines.set("GPIO_BOUNCE_TIME", self.gpio.bounce.as_millis());
        lines.set("GPIO_BACKEND", word(gpio::BACKENDS, &self.gpio.backend));
        lines.set("GPIO_ACTIVE", word(gpio::ACTIVE_LEVELS, &self.gpio.active));
        lines.set_some("GPIO_CHIP", self.gpio.chip.as_ref());
        describe_ingest(&mut lines, &self.ingest);
        if let Some(analysis) = &self.analysis {
            analysis.describe(&mut lines);
        }
        describe_upload(&mut lines, &self.upload);
        lines.set("IMAGE_STORAGE_PATH", self.storage.images.display());
        lines.set("IMAGE_LAYOUT", "daily");
        lines.set("DATABASE_PATH", self.storage.database.display());
        let backup_hours = self.storage.backup_every.map_or(0, |every| every.as_secs() / 3600);
        lines.set("DATABASE_BACKUP_HOURS", backup_hours);
        lines.set("IMAGE_RETENTION_DAYS", self.storage.retention_days);
        lines.set("CLEANUP_INTERVAL_HOURS", self.storage.cleanup_interval.as_secs() / 3600);
        lines.set_some("STORAGE_MAX_BYTES", self.storage.max_bytes);
        lines.set_some("STORAGE_MIN_FREE_BYTES", self.storage.min_free_bytes);
        lines.set_some("STORAGE_QUARANTINE_MAX_BYTES", self.storage.quarantine_max_bytes);
        describe_streaming(&mut lines, &self.streaming);
        lines.set("BIND_IP", self.web.bind.ip());
        lines.set("BIND_PORT", self.web.bind.port());
        lines.set("WEB_AUTH_ENABLED", self.web.access == WebAccess::Password);
        if !self.web.hosts.is_empty() {
            lines.set("WEB_HOSTS", self.web.hosts.join(", "));
        }
        if !self.web.cors_origins.is_empty() {
            lines.set("STREAM_CORS_ORIGINS", self.web.cors_origins.join(", "));
        }
        if !self.web.trusted_proxies.is_empty() {
            let proxies: Vec<_> = self.web.trusted_proxies.iter().map(ToString::to_string).collect();
            lines.set("TRUSTED_PROXIES", proxies.join(", "));
        }
        lines.set_some("PUBLIC_URL", self.web.links.public_url.as_ref());
        lines.set("LINK_HOURS", self.web.links.hours());
        if self.web.password_hash.is_some() {
            lines.comment("WEB_PASSWORD_HASH is set (value hidden)");
        }
        lines.set("STATUS_DISPLAY", self.display.map_or("none", |display| display.kind.as_str()));
        if let Some(display) = &self.display {
            lines.set("STATUS_DISPLAY_I2C", display.place());
            lines.set("STATUS_DISPLAY_SLEEP", display.sleep.as_secs());
        }
        lines.set("LOG_LEVEL", &self.log.filter);
        lines.set("LOG_FORMAT", word(log::FORMATS, &self.log.format));
        lines.set_some("LOG_FILE", self.log.file.as_ref().map(|path| path.display()));
        lines.text()
    }
}

fn describe_camera(lines: &mut Lines, camera: &CameraConfig) {
    let name = |suffix: &str| format!("CAMERA_{}_{suffix}", camera.number);
    lines.set(&name("NAME"), &camera.key);
    lines.set(&name("LABEL"), &camera.label);
    lines.set(&name("ENABLED"), camera.enabled);
    match &camera.source {
        None => {}
        Some(SourceConfig::Rtsp(rtsp)) => {
            lines.set(&name("RTSP"), shown_url(&rtsp.url));
            describe_login(lines, camera.number, rtsp.credentials.as_ref());
            lines.set(&name("TRANSPORT"), word(camera::TRANSPORTS, &rtsp.transport));
            describe_trust(lines, camera.number, &rtsp.trust);
        }
        Some(SourceConfig::Snapshot(snapshot)) => {
            lines.set(&name("SNAPSHOT_URL"), shown_url(&snapshot.url));
            describe_login(lines, camera.number, snapshot.credentials.as_ref());
            describe_flush(lines, camera.number, snapshot.flush);
            lines.set(&name("SNAPSHOT_VERIFY"), snapshot.verify);
            describe_trust(lines, camera.number, &snapshot.trust);
        }
        Some(SourceConfig::Slot(slot)) => {
            lines.set(&name("STREAMING"), true);
            describe_flush(lines, camera.number, slot.flush);
        }
    }
    let offsets: Vec<_> = camera.offsets_ms.iter().map(ToString::to_string).collect();
    lines.set(&name("OFFSETS_MS"), offsets.join(","));
    describe_engine(lines, camera.number, &camera.engine);
    let both = |around: Around| format!("{},{}", around.before.as_millis(), around.after.as_millis());
    lines.set_some(&name("CLIP_MS"), camera.clip.map(both));
    lines.set_some(&name("BEST_MS"), camera.best.map(both));
    let pin = camera.pin.map_or_else(|| "none".to_owned(), |pin| pin.to_string());
    lines.set(&format!("GPIO_CAMERA_{}_PIN", camera.number), pin);
}

fn describe_flush(lines: &mut Lines, number: u8, flush: Flush) {
    let name = format!("CAMERA_{number}_SNAPSHOT_FLUSH");
    match flush {
        Flush::Auto => lines.set(&name, "auto"),
        Flush::Fixed(pictures) => lines.set(&name, pictures),
    }
}

fn describe_streaming(lines: &mut Lines, streaming: &StreamingConfig) {
    lines.set("STREAM_FPS", streaming.fps);
    let networks: Vec<_> = streaming.reach.networks.iter().map(ToString::to_string).collect();
    lines.set("STREAM_ALLOW", networks.join(", "));
    lines.set("STREAM_REQUESTS_PER_MINUTE", streaming.per_minute);
    if let Some(jwt) = &streaming.jwt {
        lines.comment("JWT_SECRET is set (value hidden)");
        lines.set("STREAM_JWT_SCOPE", jwt.scope);
    }
}

fn describe_login(lines: &mut Lines, number: u8, credentials: Option<&Credentials>) {
    let Some(credentials) = credentials else { return };
    let name = format!("CAMERA_{number}_USERNAME");
    if credentials.password.reveal().is_empty() {
        lines.comment(format_args!("{name} is set (value hidden), its password is empty"));
    } else {
        lines.comment(format_args!("{name} and PASSWORD are set (values hidden)"));
    }
}

fn describe_trust(lines: &mut Lines, number: u8, trust: &Trust) {
    match trust {
        Trust::System => {}
        Trust::File(authorities) => {
            lines.set(&format!("CAMERA_{number}_CA_FILE"), authorities.file.display());
        }
        Trust::Pinned(pin) => lines.set(&format!("CAMERA_{number}_TLS_FINGERPRINT"), pin),
    }
}

fn describe_engine(lines: &mut Lines, number: u8, engine: &CameraEngine) {
    let name = |suffix: &str| format!("CAMERA_{number}_{suffix}");
    lines.set(&name("MODE"), word(engine::MODES, &engine.mode));
    if !engine.armed_by.is_empty() {
        let hints: Vec<_> = engine.armed_by.iter().map(ToString::to_string).collect();
        lines.set(&name("ARMED_BY"), hints.join(","));
    }
    lines.set(&name("TOLERANCE_MS"), engine.tolerance.as_millis());
    match engine.latency {
        Some(latency) => lines.set(&name("LATENCY_MS"), latency.as_millis()),
        None => lines.comment(format_args!("{}: as measured on the dashboard, else 0", name("LATENCY_MS"))),
    }
    lines.set(&name("CLOCK"), word(engine::CLOCKS, &engine.clock));
}

fn describe_ingest(lines: &mut Lines, ingest: &IngestConfig) {
    for device in &ingest.devices {
        let name = |suffix: &str| format!("INGEST_{}_{suffix}", device.number);
        // Nobody is let in by the lines alone: those of a device without an open way in are comments.
        let mut own = Lines::default();
        own.set(&name("NAME"), &device.name);
        own.set_some(&name("CAMERA"), device.camera.as_ref());
        if !device.addresses.is_empty() {
            let addresses: Vec<_> = device.addresses.iter().map(ToString::to_string).collect();
            own.set(&name("ADDRESS"), addresses.join(", "));
        }
        own.set_some(&name("CLIPS_FOLDER"), device.clips.as_ref().map(|path| path.display()));
        if let Some(folder) = &device.folder {
            own.set(&name("FOLDER"), folder.path.display());
            own.set(&name("FOLDER_KEEP"), folder.keeps);
        }
        own.set(&name("KEEP_NAME"), device.keeps_name);
        own.set(&name("MAX_BYTES"), device.max_bytes);
        own.set(&name("MAX_PIXELS"), device.max_pixels);
        own.set(&name("PER_MINUTE"), device.per_minute);
        match device.addresses.is_empty() && device.folder.is_none() {
            true => lines.comments(&own),
            false => lines.append(&own),
        }
        if device.token.is_some() {
            lines.comment(format_args!("{} is set (value hidden)", name("TOKEN")));
        }
        if device.ftp.is_some() {
            let (user, password) = (name("USER"), name("PASSWORD"));
            lines.comment(format_args!("{user} and {password} are set (values hidden)"));
        }
    }
    lines.set_some("COMPAT_PORT", ingest.compat_port);
    if let Some(ftp) = &ingest.ftp {
        lines.set_some("FTP_IP", ftp.ip);
        lines.set("FTP_PORT", ftp.port);
        let range = |ports: &RangeInclusive<u16>| format!("{}-{}", ports.start(), ports.end());
        lines.set("FTP_PASSIVE_PORTS", ftp.passive.as_ref().map_or_else(|| "any".to_owned(), range));
        if let Some(tls) = &ftp.tls {
            lines.set("FTP_TLS_CERT", tls.certificate.display());
            lines.set("FTP_TLS_KEY", tls.key.display());
            lines.set("FTP_TLS_REQUIRED", tls.is_required);
        }
    }
}

fn describe_upload(lines: &mut Lines, upload: &UploadConfig) {
    lines.set("UPLOAD_ENABLED", upload.enabled);
    lines.set("BACKGROUND_UPLOAD", upload.background);
    let in_use: Vec<_> = upload.in_use().map(TargetId::as_str).collect();
    if !in_use.is_empty() {
        // No setting: those whose addresses are hidden could not be read back.
        lines.comment(format_args!("targets in use: {}", in_use.join(", ")));
    }
    for target in &upload.targets {
        target.settings.describe(&mut TargetLines::new(lines, target.id));
    }
    lines.set("UPLOAD_TIMEOUT", upload.timeout.as_secs());
    for proxy in upload.proxies.all() {
        let (host, port) = proxy.place();
        lines.comment(format_args!("{} is set: {host}:{port} (log-in hidden)", proxy.setting));
    }
    lines.set_some("UPLOAD_CA_FILE", upload.ca_file.as_ref().map(|path| path.display()));
    describe_targets(lines, upload);
    lines.set("UPLOAD_METADATA", upload.metadata);
    lines.set_some("SITE_NAME", upload.site.as_ref());
    lines.set("UPLOAD_QUEUE_SIZE", upload.queue_size);
    lines.set("OFFLINE_RETRY_INTERVAL", upload.retry_interval.as_secs());
    lines.set("CONNECTIVITY_CHECK_INTERVAL", upload.check_interval.as_secs());
}

/// What holds for all targets, and what each has of its own: a comment where the address that it is for is hidden, because
/// alone it would be a setting for nothing.
fn describe_targets(lines: &mut Lines, upload: &UploadConfig) {
    let all = &upload.defaults;
    lines.set(lane::PARALLEL, all.lane.parallel);
    lines.set(lane::WINDOW, lane::written(all.lane.window));
    lines.set_some("UPLOAD_RATE", all.rate);
    lines.set_some("UPLOAD_TLS_FINGERPRINT", all.pin.as_ref().map(|pin| pin.fingerprint));
    for target in &upload.targets {
        let lane = target.lane;
        let pin = target.pin.as_ref().filter(|pin| Some(*pin) != all.pin.as_ref());
        let own = [
            (lane::PARALLEL, (lane.parallel != all.lane.parallel).then(|| lane.parallel.to_string())),
            (lane::WINDOW, (lane.window != all.lane.window).then(|| lane::written(lane.window))),
            ("UPLOAD_RATE", target.rate.filter(|rate| Some(*rate) != all.rate).map(|rate| rate.to_string())),
            ("UPLOAD_TLS_FINGERPRINT", pin.map(|pin| pin.fingerprint.to_string())),
        ];
        let mut lines = TargetLines::new(lines, target.id);
        for (name, value) in own.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            let name = own_name(target.id.kind(), name);
            match target.id.kind() {
                TargetKind::Api => lines.set(&name, value),
                _ => lines.comment(format_args!("{name}={}", quoted(&value))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::config;
    use super::super::{Config, Env};

    const FULL: &[(&str, &str)] = &[
        ("CAMERA_1_RTSP", "rtsp://bob:hunter2@10.0.0.1:8554/live/ch=1&password=hunter2"),
        ("CAMERA_1_LABEL", "Gate \"A\" $5 it's \\ here"),
        ("CAMERA_1_OFFSETS_MS", "-400,0,400"),
        ("CAMERA_1_CLIP_MS", "5000,3000"),
        ("CAMERA_1_BEST_MS", "0,400"),
        ("CAMERA_2_ENABLED", "false"),
        ("CAMERA_4_SNAPSHOT_URL", "https://bob:hunter2@10.0.0.4/snap.cgi?usr=x&pwd=hunter2&ch=1"),
        ("CAMERA_4_SNAPSHOT_FLUSH", "1"),
        ("CAMERA_4_SNAPSHOT_VERIFY", "no"),
        ("CAMERA_2_LABEL", "back #2"),
        ("CAMERA_5_RTSP", "rtsps://bob:hunter2@10.0.0.5/live"),
        ("CAMERA_5_TRANSPORT", "http"),
        ("CAMERA_5_TLS_FINGERPRINT", "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"),
        ("GPIO_CAMERA_2_PIN", "none"),
        ("CAMERA_USERNAME", "common"),
        ("CAMERA_PASSWORD", "hunter2"),
        ("GPIO_CHIP", "/dev/gpiochip0"),
        ("S3_API_URL", "https://bob:hunter2@api.example/up?token=hunter2"),
        ("UPLOAD_HEADERS", "X-Key: hunter2"),
        ("UPLOAD_FIELDS", "token=hunter2; gate={camera}"),
        ("UPLOAD_SUCCESS", "json:\"a.b\" = 'yes'"),
        ("UPLOAD_TLS_FINGERPRINT", "FFEEDDCCBBAA99887766554433221100FFEEDDCCBBAA99887766554433221100"),
        ("RELAY_UPLOAD_TLS_FINGERPRINT", "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"),
        ("UPLOAD_PARALLEL", "3"),
        ("API_UPLOAD_WINDOW", "22:00-06:00"),
        ("S3_UPLOAD_WINDOW", "always"),
        ("S3_ENDPOINT", "https://s3.example"),
        ("S3_BUCKET", "gate"),
        ("S3_ACCESS_KEY_ID", "hunter2"),
        ("S3_SECRET_ACCESS_KEY", "hunter2"),
        ("S3_SESSION_TOKEN", "hunter2"),
        ("DISCORD_WEBHOOK_URL", "https://discord.example/api/webhooks/1/hunter2"),
        ("RELAY_URL", "https://bob:hunter2@10.0.0.9/hunter2"),
        ("SITE_NAME", "Gate 7"),
        ("UPLOAD_RATE", "1M"),
        ("STORAGE_MAX_BYTES", "1G"),
        ("STORAGE_QUARANTINE_MAX_BYTES", "50M"),
        ("IMAGE_STORAGE_PATH", "/srv/our gate/images"),
        ("BIND_IP", "::1"),
        ("WEB_AUTH_ENABLED", "false"),
        ("WEB_HOSTS", "gate.example.org, cameras.example.org"),
        ("STREAM_CORS_ORIGINS", "https://app.example, null"),
        ("CAMERA_9_STREAMING", "true"),
        ("STREAM_ALLOW", "10.0.0.0/8, fd00::/8"),
        ("TRUSTED_PROXIES", "127.0.0.1, fd00::/8"),
        (
            "WEB_PASSWORD_HASH",
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b0dWRWJTmaaJObGl2ZgZAa1bGI",
        ),
        ("LOG_LEVEL", "info,camera_capture::upload=debug"),
    ];

    #[test]
    fn the_description_reads_back_to_itself_apart_from_secrets() {
        for pairs in [&[][..], FULL] {
            let first = config(pairs).describe();
            let env = Env::from_file(first.as_bytes(), "described");
            let (again, warnings) = Config::parse(&env).unwrap();
            // What is said of the settings themselves is said again.
            let surprising: Vec<_> =
                warnings.iter().filter(|w| !w.to_string().starts_with("WEB_AUTH_ENABLED: ")).collect();
            assert!(surprising.is_empty(), "{surprising:?}");
            let settings = |text: &str| {
                let lines = text.lines().filter(|line| !line.starts_with('#'));
                lines.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(settings(&again.describe()), settings(&first));
        }
    }

    #[test]
    fn what_may_be_a_token_in_the_path_of_the_api_is_hidden_and_words_are_not() {
        let shown = |url: &str| {
            let text = config(&[("S3_API_URL", url)]).describe();
            let line = text.lines().find(|line| line.starts_with("S3_API_URL=")).unwrap().to_owned();
            line["S3_API_URL=".len()..].to_owned()
        };
        for url in [
            "https://api.example/",
            "https://api.example/upload",
            "https://api.example/api/v2/uploadImage.php",
            "https://api.example/site_7/2026/in-box/s3",
            "https://api.example/PROD/uploads/",
        ] {
            assert_eq!(shown(url), url);
        }
        for token in [
            "3f8a9c1e5b7d",
            "dGVzdFRva2VuMTIz",
            "550e8400-e29b-41d4-a716-446655440000",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            "T024BE7LD",
            "kJhGfDsAqWeR",
            "abcdefghijklmnopqrstuvwxyz",
            "1234567890",
            "100%25-secret",
            "s3cr3t",
        ] {
            assert_eq!(
                shown(&format!("https://api.example/in/{token}/upload")),
                "https://api.example/in/hidden/upload",
                "{token}"
            );
        }
    }

    #[test]
    fn an_apostrophe_inside_is_shown_as_it_was_typed() {
        let text = config(&[("CAMERA_1_IP", "a"), ("CAMERA_1_LABEL", "Peter's")]).describe();
        assert!(text.contains("CAMERA_1_LABEL=Peter's\n"), "{text}");
    }

    #[test]
    fn an_empty_password_is_never_called_set() {
        for password in ["", "  # none"] {
            let file = format!("CAMERA_1_IP=a\nCAMERA_USERNAME=admin\nCAMERA_PASSWORD={password}\n");
            let (config, _) = Config::parse(&Env::from_file(file.as_bytes(), ".env")).unwrap();
            let text = config.describe();
            assert!(text.contains("its password is empty") && !text.contains("PASSWORD are set"), "{text}");
        }
    }

    #[test]
    fn no_secret_stands_in_the_description() {
        let text = config(FULL).describe();
        for secret in ["hunter2", "bob", "argon2id", "RdescudvJCs"] {
            assert!(!text.contains(secret), "{secret} in\n{text}");
        }
        assert!(text.contains("CAMERA_1_USERNAME and PASSWORD are set"), "{text}");
        assert!(text.contains("# UPLOAD_HEADERS is set: X-Key (values hidden)"), "{text}");
        assert!(text.contains("# UPLOAD_FIELDS is set: token, gate (values hidden)"), "{text}");
    }
}
